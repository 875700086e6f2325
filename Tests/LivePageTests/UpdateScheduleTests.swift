import PlayCounts
import TallyBasics
import TestTraits
import Testing

@testable import LivePage

@Suite(.blocking) struct `The update schedule` {
    private func instant(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
    }

    @Test func `sends the first update at once and delays the next by the minimum interval`() {
        var schedule = UpdateSchedule(PageSettings())
        #expect(schedule.delay(at: instant(0)) == .zero)
        schedule.sendBegan(at: instant(0))
        schedule.sendEnded(at: instant(1))
        #expect(schedule.delay(at: instant(1)) == .milliseconds(20))
        #expect(schedule.delay(at: instant(15)) == .milliseconds(6))
        #expect(schedule.delay(at: instant(30)) == .zero)
    }

    @Test(arguments: [(10, 40), (100, 400), (2_000, 1_000)])
    func `pauses four times as long as the last send took, up to a second`(
        work: Int64, pause: Int
    ) {
        var schedule = UpdateSchedule(PageSettings())
        schedule.sendBegan(at: instant(0))
        schedule.sendEnded(at: instant(work))
        #expect(schedule.delay(at: instant(work)) == .milliseconds(pause))
    }

    @Test func `sends changed statistics twice a second, and only to subscribers`() {
        var schedule = UpdateSchedule(PageSettings())
        schedule.statisticsChanged()
        #expect(!schedule.shouldSendStatistics(at: instant(0)))
        schedule.subscribersChanged(count: 1, at: instant(0))
        #expect(schedule.shouldSendStatistics(at: instant(0)))
        schedule.statisticsSent(at: instant(0))
        #expect(!schedule.shouldSendStatistics(at: instant(600)))
        schedule.statisticsChanged()
        #expect(!schedule.shouldSendStatistics(at: instant(479)))
        #expect(schedule.shouldSendStatistics(at: instant(480)))
    }

    @Test func `records events for thirty seconds after the last subscriber disconnected`() {
        var schedule = UpdateSchedule(PageSettings())
        #expect(!schedule.shouldRecordEvents(at: instant(0)))
        schedule.subscribersChanged(count: 1, at: instant(0))
        #expect(schedule.shouldRecordEvents(at: instant(100_000)))
        schedule.subscribersChanged(count: 0, at: instant(100_000))
        #expect(schedule.shouldRecordEvents(at: instant(129_999)))
        #expect(!schedule.shouldRecordEvents(at: instant(130_000)))
    }
}
