import TallyBasics
import TestTraits
import Testing
import UVLoop

@testable import LivePage
@testable import PlayCounts

@Suite(.blocking) struct `The seconds of the page` {
    private var statistics = PageStatistics(of: PageSettings(), startedAt: .start)

    private mutating func record(second: Int64) {
        let video = Call.Video(count: total(1, 1), deadline: .start, isImmediate: true)
        statistics.record(
            Call(number: 1, videos: [video]), at: .start, milliseconds: second * 1000)
    }

    @Test mutating func `are those of the last two minutes`() {
        for second in 1_000...1_300 as ClosedRange<Int64> { record(second: second) }
        #expect(statistics.seconds.map(\.second) == Array(1_181...1_300))
        #expect(statistics.seconds.count == PageStatistics.maxSeconds)
        record(second: 1_419)
        #expect(statistics.seconds.map(\.second) == [1_300, 1_419])
        record(second: 1_420)
        #expect(statistics.seconds.map(\.second) == [1_419, 1_420])
    }

    @Test mutating func `stay in order when the wall clock is set back`() {
        for second in [1_000, 1_001, 900, 1_001, 1_002] as [Int64] { record(second: second) }
        #expect(statistics.seconds.map(\.second) == [1_000, 1_001, 1_002])
        #expect(statistics.seconds.map(\.calls.calls) == [1, 3, 1])
    }

    @Test func `do not count plays of a counter that is lower`() {
        let fixture = try? PageServerFixture()
        fixture?.commit([], counted: 7)
        fixture?.commit([], counted: 3)
        #expect(fixture?.server.statistics.counted == 7)
        #expect(fixture?.server.statistics.seconds.map(\.plays).reduce(0, +) == 7)
    }
}

@Suite(.blocking) struct `The figures of the page` {
    private func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    @Test func `measure an immediate play from its arrival, before the wait for others`() {
        var settings = PageSettings()
        settings.coalesce = .seconds(2)
        var statistics = PageStatistics(of: settings, startedAt: .start)
        // The play arrived at 8 s, and its call was due 2 s later.
        let video = Call.Video(count: total(1, 1), deadline: instant(10), isImmediate: true)
        statistics.record(Call(number: 1, videos: [video]), at: instant(11), milliseconds: 0)
        #expect(statistics.worstImmediate == .seconds(3))
        #expect(statistics.worstBatched == .zero)
    }

    @Test func `compare the calls with the fewest, as if the waiting videos were published`() throws
    {
        let fixture = try PageServerFixture(videosPerCall: 2)
        let arrival = fixture.loop.instant
        fixture.commit(
            (1...3).map {
                CountChange(videoID: video($0), count: 1, arrival: arrival, isImmediate: false)
            }, counted: 3)
        let statistics = fixture.server.statistics
        #expect(statistics.waitingVideos == 3)
        #expect(statistics.leastCalls == 2)
        #expect(statistics.callsRatio == 1)
        // One video in each call.
        for number in 1...3 { fixture.play([number]) }
        #expect(fixture.server.statistics.waitingVideos == 0)
        #expect(fixture.server.statistics.callsRatio == 1.5)
    }

    @Test func `count a video as waiting until its latest total is published`() {
        var queue = UpdateQueue(of: PageSettings())
        let change = CountChange(
            videoID: video(1), count: 5, arrival: .start, isImmediate: false)
        queue.append([change], at: .start, counted: 5)
        for (count, waiting) in [(4, 1), (5, 0)] {
            let video = Call.Video(count: total(1, count), deadline: .start, isImmediate: false)
            queue.append(Call(number: count, videos: [video]), at: .start)
            #expect(queue.removeUpdate().waitingVideos == waiting)
        }
    }
}
