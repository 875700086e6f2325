import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage
@testable import PlayCounts

/// The reason in an `end` event.
private struct EndJSON: Decodable {
    var reason: String?
}

extension TestPage {
    /// The state that a browser receives which connects now.
    ///
    /// Browsers that connect shortly after one another receive the same state, followed by the events
    /// since it was made. So this method connects again until the state has what the test expects.
    func state(where isExpected: (StateJSON) -> Bool = { _ in true }) throws
        -> StateJSON
    {
        let deadline = ContinuousClock.now + .seconds(120)
        while true {
            let state = try EventReader(page).next("state").json(as: StateJSON.self)
            if isExpected(state) || ContinuousClock.now > deadline { return state }
        }
    }
}

@Suite(.blocking) struct `The state for a browser that connects` {
    @Test func `has the latest calls and the seconds of browsers before it`() async throws {
        let test = try await TestPage.start()
        let before = try EventReader(test.page)
        test.play([1])
        test.play(2...41)
        var times: [Int] = []
        for _ in 1...3 { times.append(try before.next("call").json(as: CallJSON.self).time) }
        let state = try test.state { !$0.latest_calls.isEmpty }
        #expect(state.latest_calls.map(\.number) == [1, 2, 3])
        #expect(state.latest_calls.map(\.immediate) == [1, 20, 20])
        #expect(state.latest_calls.map(\.batched) == [0, 0, 0])
        #expect(state.latest_calls.map(\.time) == times)
        #expect(state.statistics.seconds.map(\.immediate_calls).reduce(0, +) == 3)
        #expect(state.statistics.seconds.map(\.immediate_videos).reduce(0, +) == 41)
        await test.page.stop()
    }

    @Test func `has the latest calls also if no browser was connected`() async throws {
        let test = try await TestPage.start()
        for number in 1...CallHistory.maxEntries + 7 { test.play([number]) }
        let last = CallHistory.maxEntries + 7
        let state = try test.state { $0.latest_calls.last?.number == last }
        #expect(state.latest_calls.map(\.number) == Array(8...last))
        await test.page.stop()
    }

    @Test func `names its run, which another page does not share`() async throws {
        let test = try await TestPage.start()
        let first = try test.state()
        #expect(first.run == (try test.state().run))
        #expect(first.run.started <= first.statistics.time)
        await test.page.stop()
        var other = try await TestPage.start()
        // The ID of a run is its start in milliseconds, so a run that starts in the same millisecond
        // has the same ID.
        while try other.state().run.started == first.run.started {
            await other.page.stop()
            other = try await TestPage.start()
        }
        #expect(try other.state().run.id != first.run.id)
        await other.page.stop()
    }

    @Test func `has the command line that publishes plays`() async throws {
        let test = try await TestPage.start { $0.produceCommand = "tally produce" }
        #expect(try test.state().settings.produce_command == "tally produce")
        await test.page.stop()
        let unknown = try await TestPage.start()
        #expect(try unknown.state().settings.produce_command == nil)
        await unknown.page.stop()
    }

    @Test func `is sent again if the source of the plays is known only later`() async throws {
        let test = try await TestPage.start()
        let events = try EventReader(test.page)
        #expect(try events.next("state").json(as: StateJSON.self).settings.source == "a test")
        var settings = PageSettings()
        settings.source = "an nsqd"
        settings.produceCommand = "tally produce"
        test.page.setSource(of: settings)
        let state = try events.next("state").json(as: StateJSON.self)
        #expect(state.settings.source == "an nsqd")
        #expect(state.settings.produce_command == "tally produce")
        await test.page.stop()
    }

    @Test func `has the verdict with its time and its reasons`() async throws {
        let test = try await TestPage.start()
        #expect(try test.state().verdict == nil)
        let events = try EventReader(test.page)
        _ = try events.next("state")
        test.page.setVerdict(
            Verdict(
                produced: PlayLog(), received: PlayLog(), batches: BatchLog(), calls: CallLog(),
                of: Verdict.Run(
                    minimumCalls: 0, duration: .zero, standstill: "no progress for 30 s")))
        let verdict = try events.next("verdict").json(as: VerdictJSON.self)
        #expect(verdict.verdict == "fail")
        #expect(verdict.rules.contains { !$0.holds && $0.detail == "no progress for 30 s" })
        let state = try test.state()
        #expect(state.verdict?.time == verdict.time)
        #expect(state.run.started <= verdict.time)
        #expect(state.verdict?.rules.count == verdict.rules.count)
        await test.page.stop()
    }

    @Test func `has the age of the backlog if the depth of the queue is unknown`() async throws {
        let test = try await TestPage.start()
        let events = try EventReader(test.page)
        #expect(try events.next("state").json(as: StateJSON.self).statistics.backlog_ms == nil)
        test.page.setMetricsSource { answer in
            var metrics = ProcessorMetrics()
            metrics.backlogAge = .seconds(3)
            answer(metrics)
        }
        let figures = try events.next("statistics").json(as: StatisticsJSON.self)
        #expect(figures.backlog_ms == 3_000)
        test.page.setQueueState(ChannelDepth(depth: 0, inFlight: 0, deferred: 0))
        let known = try events.next("statistics") {
            try $0.json(as: StatisticsJSON.self).queue != nil
        }
        #expect(try known.json(as: StatisticsJSON.self).backlog_ms == nil)
        await test.page.stop()
    }

    @Test func `has the reason why counting waits, until it works again`() async throws {
        let test = try await TestPage.start()
        let events = try EventReader(test.page)
        #expect(try events.next("state").json(as: StateJSON.self).statistics.problem == nil)
        test.page.setProblem("the disk is full")
        let figures = try events.next("statistics").json(as: StatisticsJSON.self)
        #expect(figures.problem == "the disk is full")
        let state = try test.state { $0.statistics.problem != nil }
        #expect(state.statistics.problem == "the disk is full")
        test.page.setProblem(nil)
        let later = try events.next("statistics").json(as: StatisticsJSON.self)
        #expect(later.problem == nil)
        await test.page.stop()
    }
}

@Suite(.blocking) struct `The end of a run` {
    @Test(arguments: ["tally serve was stopped", nil]) func `has its reason in the end event`(
        reason: String?
    ) async throws {
        let test = try await TestPage.start()
        let events = try EventReader(test.page)
        _ = try events.next("state")
        await test.page.stop(reason: reason)
        #expect(try events.next("end").json(as: EndJSON.self).reason == reason)
    }
}

@Suite(.blocking) struct `The statistics of calls` {
    private func call(_ number: Int, immediate: Int, batched: Int, due: Duration) -> Call {
        let deadline = MonotonicInstant(nanoseconds: due.nanoseconds)
        return Call(
            number: number,
            videos: (0..<immediate + batched).map {
                Call.Video(
                    count: total($0, 1), deadline: deadline, isImmediate: $0 < immediate)
            })
    }

    private func instant(_ seconds: Double) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(seconds * 1e9))
    }

    @Test func `distinguish immediate, mixed and batched calls`() {
        var statistics = PageStatistics(of: PageSettings(), startedAt: .start)
        for (number, (immediate, batched)) in [(1, 0), (2, 18), (0, 20), (0, 5)].enumerated() {
            let call = call(number + 1, immediate: immediate, batched: batched, due: .seconds(1))
            statistics.record(call, at: instant(1), milliseconds: 1_000)
        }
        #expect(statistics.calls.immediate == 1)
        #expect(statistics.calls.mixed == 1)
        #expect(statistics.calls.batched == 2)
        #expect(statistics.calls.calls == 4)
        #expect(statistics.calls.immediateVideos == 3)
        #expect(statistics.calls.batchedVideos == 43)
        #expect(statistics.emptySlots == 34)
        #expect(statistics.seconds.map(\.calls) == [statistics.calls])
        #expect(statistics.history.entries.map(\.batchedVideos) == [0, 18, 20, 5])
    }

    /// The deadline in a call is earlier than promised, so that there is time for the call itself.
    @Test func `measure the wait of a batched play from its arrival and against the promised time`()
    {
        var statistics = PageStatistics(of: PageSettings(), startedAt: .start)
        // The play arrived at 100 s. Its deadline is 59.5 s later: the promised 60 s less half a
        // second.
        let call = call(1, immediate: 0, batched: 1, due: .milliseconds(159_500))
        statistics.record(call, at: instant(159.75), milliseconds: 0)
        #expect(statistics.worstBatched == .milliseconds(59_750))
        #expect(statistics.worstLateness == .zero)
        statistics.record(call, at: instant(161), milliseconds: 0)
        #expect(statistics.worstBatched == .seconds(61))
        #expect(statistics.worstLateness == .seconds(1))
    }

    @Test func `do not let a play of an earlier run wait for longer than the run`() {
        var statistics = PageStatistics(of: PageSettings(), startedAt: instant(1_000))
        let call = call(1, immediate: 0, batched: 1, due: .seconds(1_000))
        statistics.record(call, at: instant(1_000.25), milliseconds: 0)
        #expect(statistics.worstBatched == .milliseconds(250))
    }
}
