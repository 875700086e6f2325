import PlayCounts
import Testing

@Suite struct `A count that changed` {
    var publisher = CountPublisher()
    /// Sixty seconds less the half for the call's own way.
    let patience = Duration.milliseconds(59_500)

    @Test mutating func `goes out at once if it is immediate`() {
        publisher.receive([change(1, count: 7, immediate: true)])
        #expect(publisher.nextDeadline() == .start)
        #expect(publisher.calls(at: .start).map(\.counts) == [[PlayCount(of: video(1), 7)]])
        #expect(publisher.nextDeadline() == nil)
    }

    @Test mutating func `waits for others as long as it may if it is immediate`() {
        var settings = CountPublisher.Settings()
        settings.coalesce = .milliseconds(20)
        publisher = CountPublisher(settings)
        publisher.receive([change(1, count: 7, immediate: true)])
        publisher.receive([change(2, count: 9, at: .milliseconds(15), immediate: true)])
        let due = Instant.start + .milliseconds(20)
        #expect(publisher.nextDeadline() == due)
        #expect(publisher.calls(at: due + .nanoseconds(-1)) == [])
        #expect(
            publisher.calls(at: due).map(\.counts) == [
                [PlayCount(of: video(1), 7), PlayCount(of: video(2), 9)]
            ])
    }

    @Test mutating func `otherwise waits as long as is safe`() {
        publisher.receive([change(1, count: 700)])
        publisher.receive([change(1, count: 701, at: .seconds(9))])
        let due = Instant.start + patience
        #expect(publisher.nextDeadline() == due)
        #expect(publisher.calls(at: due + .nanoseconds(-1)) == [])
        #expect(publisher.calls(at: due).map(\.counts) == [[PlayCount(of: video(1), 701)]])
    }

    @Test mutating func `goes out once`() {
        publisher.receive([change(1, count: 700)])
        let calls = publisher.calls(at: .start, flushing: true)
        calls.forEach { publisher.accepted($0) }
        #expect(publisher.calls(at: .start, flushing: true) == [])
        #expect(publisher.waitingVideos == 0)
    }

    @Test mutating func `waits anew for each play after it went out`() {
        publisher.receive([change(1, count: 700)])
        for call in publisher.calls(at: .start + patience) { publisher.accepted(call) }
        publisher.receive([change(1, count: 701, at: .seconds(80))])
        #expect(publisher.nextDeadline() == .start + .seconds(80) + patience)
    }

    @Test mutating func `left over from an earlier run goes out first`() {
        publisher.catchUp(with: [PlayCount(of: video(1), 5)], at: .start)
        #expect(publisher.calls(at: .start).map(\.counts) == [[PlayCount(of: video(1), 5)]])
    }
}

@Suite struct `A round of calls` {
    var publisher = CountPublisher()

    @Test mutating func `has twenty videos in a call, and the fewest calls`() {
        publisher.receive((0..<41).map { change($0, count: 1, immediate: true) })
        let calls = publisher.calls(at: .start)
        #expect(calls.map(\.videos.count) == [20, 20, 1])
        #expect(Set(calls.flatMap { $0.counts.map(\.videoID) }).count == 41)
        #expect(calls.map(\.number) == [1, 2, 3])
    }

    @Test mutating func `is filled up with those whose deadline is nearest`() {
        publisher.receive((0..<30).reversed().map { change($0, count: 700, at: .seconds($0)) })
        publisher.receive([change(99, count: 3, at: .seconds(40), immediate: true)])
        let calls = publisher.calls(at: .start + .seconds(40))
        #expect(calls.count == 1)
        #expect(calls[0].counts.map(\.videoID) == [video(99)] + (0..<19).map(video))
        #expect(calls[0].videos.map(\.isImmediate) == [true] + Array(repeating: false, count: 19))
    }

    @Test mutating func `holds the next one up until it is answered`() {
        publisher.receive([change(1, count: 1, immediate: true)])
        let first = publisher.calls(at: .start)
        publisher.receive([change(1, count: 2, immediate: true)])
        publisher.receive([change(2, count: 1, immediate: true)])
        #expect(publisher.calls(at: .start) == [])
        #expect(publisher.nextDeadline() == nil)
        publisher.accepted(first[0])
        let second = publisher.calls(at: .start)
        #expect(second.count == 1)
        #expect(
            Set(second[0].counts) == [PlayCount(of: video(1), 2), PlayCount(of: video(2), 1)])
    }

    @Test mutating func `that fails is made again later, with newer totals`() {
        publisher.receive([change(1, count: 1, immediate: true), change(2, count: 700)])
        let call = publisher.calls(at: .start)[0]
        publisher.receive([change(1, count: 4, at: .seconds(1), immediate: true)])
        publisher.failed(call, retryAt: .start + .seconds(5))
        #expect(publisher.nextDeadline() == .start + .seconds(5))
        #expect(publisher.calls(at: .start + .seconds(4)) == [])
        let again = publisher.calls(at: .start + .seconds(5))
        #expect(
            again.map(\.counts) == [[PlayCount(of: video(1), 4), PlayCount(of: video(2), 700)]])
        #expect(again[0].videos.map(\.isImmediate) == [true, false])
    }

    @Test mutating func `after a failure is one call, until the client takes it`() {
        publisher.receive((0..<60).map { change($0, count: 1, immediate: true) })
        for call in publisher.calls(at: .start) {
            publisher.failed(call, retryAt: .start + .seconds(1))
        }
        let probe = publisher.calls(at: .start + .seconds(1))
        #expect(probe.count == 1)
        publisher.accepted(probe[0])
        #expect(publisher.calls(at: .start + .seconds(1)).count == 2)
    }

    @Test mutating func `is bounded, and the next one follows`() {
        var settings = CountPublisher.Settings()
        settings.callsPerRound = 3
        publisher = CountPublisher(settings)
        publisher.receive((0..<100).map { change($0, count: 1, immediate: true) })
        var rounds: [Int] = []
        while true {
            let calls = publisher.calls(at: .start)
            guard !calls.isEmpty else { break }
            rounds.append(calls.count)
            calls.forEach { publisher.accepted($0) }
        }
        #expect(rounds == [3, 2])
    }

    @Test mutating func `takes all that waits before the end, after the pause or without it`() {
        publisher.receive([change(1, count: 1, immediate: true)])
        publisher.failed(publisher.calls(at: .start)[0], retryAt: .start + .seconds(100))
        publisher.receive([change(2, count: 700)])
        #expect(publisher.calls(at: .start, flushing: true) == [])
        #expect(publisher.nextDeadline(flushing: true) == .start + .seconds(100))
        publisher.endPause(at: .start)
        #expect(publisher.nextDeadline(flushing: true) == .start)
        #expect(publisher.calls(at: .start, flushing: true).map(\.videos.count) == [2])
    }
}

@Suite struct `A publisher` {
    /// Whatever a client does, it hears true totals only, never an old one, and the last ones.
    @Test(arguments: Seeds.all)
    func `keeps its rules with a client that fails at random`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var publisher = CountPublisher()
        var now = Instant.start
        var counts: [VideoID: Int] = [:]
        var heard: [VideoID: Int] = [:]
        var underWay: [Call] = []
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
                publisher.receive(changes)
            }
            underWay += publisher.calls(at: now, flushing: isEnding)
            generator.shuffle(&underWay)
            for _ in 0..<generator.next(below: underWay.count + 1) {
                let call = underWay.removeLast()
                if !isEnding, generator.next(below: 3) == 0 {
                    publisher.failed(call, retryAt: now + .seconds(generator.next(below: 9)))
                    continue
                }
                #expect(1...20 ~= call.videos.count, Seeds.again(seed))
                for count in call.counts {
                    #expect(count.count > heard[count.videoID, default: 0], Seeds.again(seed))
                    #expect(count.count <= counts[count.videoID]!, Seeds.again(seed))
                    heard[count.videoID] = count.count
                }
                publisher.accepted(call)
            }
        }
        #expect(heard == counts, Seeds.again(seed))
        #expect(publisher.waitingVideos == 0 && !publisher.hasCallsUnderWay, Seeds.again(seed))
    }

    @Test func `serves a million videos`() {
        var publisher = CountPublisher()
        publisher.receive((0..<1_000_000).map { change($0, count: 700, at: .microseconds($0)) })
        var published = 0
        while let deadline = publisher.nextDeadline() {
            for call in publisher.calls(at: deadline + .milliseconds(10)) {
                published += call.videos.count
                publisher.accepted(call)
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
