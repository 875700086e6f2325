import PlayCounts
import TallyBasics
import TestTraits
import Testing

@testable import LivePage

@Suite(.blocking) struct `The update queue` {
    @Test func `keeps totals and sums instead of calls beyond its limit`() {
        var calls = Calls(videosPerCall: 1)
        var queue = UpdateQueue(of: PageSettings())
        for round in 0..<PageUpdate.maxCalls + 500 {
            for call in calls.play([round % 3], at: MonotonicInstant(nanoseconds: Int64(round))) {
                queue.append(call, at: MonotonicInstant(nanoseconds: Int64(round)))
            }
        }
        let update = queue.removeUpdate()
        #expect(update.calls.count == PageUpdate.maxCalls)
        #expect(update.skipped.calls.calls == 500)
        #expect(update.skipped.calls.immediate == 500)
        #expect(update.skipped.calls.immediateVideos == 500)
        #expect(update.skipped.totals.videos == 3)
        #expect(update.skipped.totals.plays == PageUpdate.maxCalls + 500)
        #expect(queue.isEmpty && queue.removeUpdate().calls.isEmpty)
    }

    @Test func `computes the planned calls and the waiting videos from all commits`() {
        var calls = Calls()
        var queue = UpdateQueue(of: PageSettings())
        for round in 1...1_000 {
            let instant = MonotonicInstant(nanoseconds: Int64(round))
            let changes = (0..<30).map {
                CountChange(
                    videoID: video($0), count: round, arrival: instant, isImmediate: true)
            }
            queue.append(changes, at: instant, counted: 30 * round)
            guard round < 1_000 else { break }
            for call in calls.play(0..<30, at: instant) { queue.append(call, at: instant) }
        }
        let update = queue.removeUpdate()
        #expect(update.counted == 30_000)
        #expect(update.waitingVideos == 30)
        #expect(update.plannedCalls == 2_000)
        #expect(queue.isEmpty)
        #expect(queue.removeUpdate().counted == 30_000)
    }
}
