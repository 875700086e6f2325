import PlayCounts
import TallyBasics
import TestTraits
import Testing

@Suite(.blocking) struct `The call scheduler, for a changed count,` {
    var scheduler = CallScheduler()
    /// The freshness of 60 s minus the margin of 0.5 s.
    let batchedDelay = Duration.milliseconds(59_500)

    @Test mutating func `publishes an immediate count at once`() {
        scheduler.enqueue([change(1, count: 7, immediate: true)])
        #expect(scheduler.nextDeadline() == .start)
        #expect(scheduler.startDueCalls(at: .start).map(\.counts) == [[PlayCount(of: video(1), 7)]])
        #expect(scheduler.nextDeadline() == nil)
    }

    @Test mutating func `delays an immediate count by the coalescing delay`() {
        var settings = CallScheduler.Settings()
        settings.coalesce = .milliseconds(20)
        scheduler = CallScheduler(settings)
        scheduler.enqueue([change(1, count: 7, immediate: true)])
        scheduler.enqueue([change(2, count: 9, at: .milliseconds(15), immediate: true)])
        let due = MonotonicInstant.start + .milliseconds(20)
        #expect(scheduler.nextDeadline() == due)
        #expect(scheduler.startDueCalls(at: due + .nanoseconds(-1)) == [])
        #expect(
            scheduler.startDueCalls(at: due).map(\.counts) == [
                [PlayCount(of: video(1), 7), PlayCount(of: video(2), 9)]
            ])
    }

    @Test mutating func `delays any other count by the freshness minus the margin`() {
        scheduler.enqueue([change(1, count: 700)])
        scheduler.enqueue([change(1, count: 701, at: .seconds(9))])
        let due = MonotonicInstant.start + batchedDelay
        #expect(scheduler.nextDeadline() == due)
        #expect(scheduler.startDueCalls(at: due + .nanoseconds(-1)) == [])
        #expect(scheduler.startDueCalls(at: due).map(\.counts) == [[PlayCount(of: video(1), 701)]])
    }

    @Test mutating func `publishes a count only once`() {
        scheduler.enqueue([change(1, count: 700)])
        let calls = scheduler.startDueCalls(at: .start, flushing: true)
        calls.forEach { scheduler.callAccepted($0) }
        #expect(scheduler.startDueCalls(at: .start, flushing: true) == [])
        #expect(scheduler.pendingVideos == 0)
    }

    @Test mutating func `starts a new delay for a play after the count was published`() {
        scheduler.enqueue([change(1, count: 700)])
        for call in scheduler.startDueCalls(at: .start + batchedDelay) {
            scheduler.callAccepted(call)
        }
        scheduler.enqueue([change(1, count: 701, at: .seconds(80))])
        #expect(scheduler.nextDeadline() == .start + .seconds(80) + batchedDelay)
    }

    @Test mutating func `publishes counts that an earlier run left unpublished at once`() {
        scheduler.enqueue([PlayCount(of: video(1), 5)], dueAt: .start)
        #expect(scheduler.startDueCalls(at: .start).map(\.counts) == [[PlayCount(of: video(1), 5)]])
    }
}

@Suite(.blocking) struct `The call scheduler, in a round of calls,` {
    var scheduler = CallScheduler()

    @Test mutating func `puts twenty videos into each call`() {
        scheduler.enqueue((0..<41).map { change($0, count: 1, immediate: true) })
        let calls = scheduler.startDueCalls(at: .start)
        #expect(calls.map(\.videos.count) == [20, 20, 1])
        #expect(Set(calls.flatMap { $0.counts.map(\.videoID) }).count == 41)
        #expect(calls.map(\.number) == [1, 2, 3])
    }

    @Test mutating func `fills free slots with the earliest deadlines`() {
        scheduler.enqueue((0..<30).reversed().map { change($0, count: 700, at: .seconds($0)) })
        scheduler.enqueue([change(99, count: 3, at: .seconds(40), immediate: true)])
        let calls = scheduler.startDueCalls(at: .start + .seconds(40))
        #expect(calls.count == 1)
        #expect(calls[0].counts.map(\.videoID) == [video(99)] + (0..<19).map(video))
        #expect(calls[0].videos.map(\.isImmediate) == [true] + Array(repeating: false, count: 19))
    }

    @Test mutating func `starts the next round only after all calls are answered`() {
        scheduler.enqueue([change(1, count: 1, immediate: true)])
        let first = scheduler.startDueCalls(at: .start)
        scheduler.enqueue([change(1, count: 2, immediate: true)])
        scheduler.enqueue([change(2, count: 1, immediate: true)])
        #expect(scheduler.startDueCalls(at: .start) == [])
        #expect(scheduler.nextDeadline() == nil)
        scheduler.callAccepted(first[0])
        let second = scheduler.startDueCalls(at: .start)
        #expect(second.count == 1)
        #expect(
            Set(second[0].counts) == [PlayCount(of: video(1), 2), PlayCount(of: video(2), 1)])
    }

    @Test mutating func `retries a failed call with newer totals`() {
        scheduler.enqueue([change(1, count: 1, immediate: true), change(2, count: 700)])
        let call = scheduler.startDueCalls(at: .start)[0]
        scheduler.enqueue([change(1, count: 4, at: .seconds(1), immediate: true)])
        scheduler.callFailed(call, retryAt: .start + .seconds(5))
        #expect(scheduler.nextDeadline() == .start + .seconds(5))
        #expect(scheduler.startDueCalls(at: .start + .seconds(4)) == [])
        let again = scheduler.startDueCalls(at: .start + .seconds(5))
        #expect(
            again.map(\.counts) == [[PlayCount(of: video(1), 4), PlayCount(of: video(2), 700)]])
        #expect(again[0].videos.map(\.isImmediate) == [true, false])
    }

    @Test mutating func `makes a single call after a failure until the client accepts it`() {
        scheduler.enqueue((0..<60).map { change($0, count: 1, immediate: true) })
        for call in scheduler.startDueCalls(at: .start) {
            scheduler.callFailed(call, retryAt: .start + .seconds(1))
        }
        let probe = scheduler.startDueCalls(at: .start + .seconds(1))
        #expect(probe.count == 1)
        scheduler.callAccepted(probe[0])
        #expect(scheduler.startDueCalls(at: .start + .seconds(1)).count == 2)
    }

    @Test mutating func `bounds the round, and makes the rest of the calls in the next one`() {
        var settings = CallScheduler.Settings()
        settings.callsPerRound = 3
        scheduler = CallScheduler(settings)
        scheduler.enqueue((0..<100).map { change($0, count: 1, immediate: true) })
        var rounds: [Int] = []
        while true {
            let calls = scheduler.startDueCalls(at: .start)
            guard !calls.isEmpty else { break }
            rounds.append(calls.count)
            calls.forEach { scheduler.callAccepted($0) }
        }
        #expect(rounds == [3, 2])
    }

    @Test
    mutating func
        `publishes all pending counts when it is flushed, after the pause or after it is ended`()
    {
        scheduler.enqueue([change(1, count: 1, immediate: true)])
        scheduler.callFailed(
            scheduler.startDueCalls(at: .start)[0], retryAt: .start + .seconds(100))
        scheduler.enqueue([change(2, count: 700)])
        #expect(scheduler.startDueCalls(at: .start, flushing: true) == [])
        #expect(scheduler.nextDeadline(flushing: true) == .start + .seconds(100))
        scheduler.endPause(at: .start)
        #expect(scheduler.nextDeadline(flushing: true) == .start)
        #expect(scheduler.startDueCalls(at: .start, flushing: true).map(\.videos.count) == [2])
    }
}

@Suite(.blocking) struct `The call scheduler, in general,` {
    /// The totals that the client receives increase and are never too high, and it receives all final
    /// totals.
    @Test(arguments: Seeds.all)
    func `publishes only increasing totals, and all final ones, to a client that fails at random`(
        seed: UInt64
    ) {
        var generator = SplitMix64(seed: seed)
        var scheduler = CallScheduler()
        var now = MonotonicInstant.start
        var counts: [VideoID: Int] = [:]
        var received: [VideoID: Int] = [:]
        var outstanding: [Call] = []
        for step in 0..<4000 {
            let isEnding = step > 3500
            now = now + .milliseconds(generator.next(below: 3000))
            if !isEnding, generator.next(below: 2) == 0 {
                let changed = Set(
                    (0..<generator.next(below: 30)).map { _ in generator.next(below: 90) })
                let changes = changed.sorted().map { index in
                    counts[video(index), default: 0] += 1 + generator.next(below: 20)
                    let count = counts[video(index)]!
                    return CountChange(
                        videoID: video(index), count: count, arrival: now, isImmediate: count < 100)
                }
                scheduler.enqueue(changes)
            }
            outstanding += scheduler.startDueCalls(at: now, flushing: isEnding)
            generator.shuffle(&outstanding)
            for _ in 0..<generator.next(below: outstanding.count + 1) {
                let call = outstanding.removeLast()
                if !isEnding, generator.next(below: 3) == 0 {
                    scheduler.callFailed(call, retryAt: now + .seconds(generator.next(below: 9)))
                    continue
                }
                #expect(1...20 ~= call.videos.count, Seeds.comment(seed))
                for count in call.counts {
                    #expect(count.count > received[count.videoID, default: 0], Seeds.comment(seed))
                    #expect(count.count <= counts[count.videoID]!, Seeds.comment(seed))
                    received[count.videoID] = count.count
                }
                scheduler.callAccepted(call)
            }
        }
        #expect(received == counts, Seeds.comment(seed))
        #expect(scheduler.pendingVideos == 0 && !scheduler.hasOutstandingCalls, Seeds.comment(seed))
    }

    @Test func `publishes a million videos`() {
        var scheduler = CallScheduler()
        scheduler.enqueue((0..<1_000_000).map { change($0, count: 700, at: .microseconds($0)) })
        var published = 0
        while let deadline = scheduler.nextDeadline() {
            for call in scheduler.startDueCalls(at: deadline + .milliseconds(10)) {
                published += call.videos.count
                scheduler.callAccepted(call)
            }
        }
        #expect(published == 1_000_000)
    }
}

func video(_ index: Int) -> VideoID {
    SplitMix64.guid(seed: 0, index: index)
}

func change(
    _ index: Int, count: Int, at arrival: Duration = .zero, immediate: Bool = false
) -> CountChange {
    CountChange(
        videoID: video(index), count: count, arrival: .start + arrival, isImmediate: immediate)
}
