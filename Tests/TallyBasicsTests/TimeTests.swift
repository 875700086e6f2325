import TallyBasics
import Testing

@Suite struct `Time arithmetic` {
    @Test func `converts a duration to whole nanoseconds and milliseconds`() {
        let duration = Duration(secondsComponent: 2, attosecondsComponent: 3_000_000_500_000_000)
        #expect(duration.nanoseconds == 2_003_000_000)
        #expect(duration.nanosecondsRoundedUp == 2_003_000_001)
        #expect(duration.milliseconds == 2003)
        #expect(duration.millisecondsRoundedUp == 2004)
        #expect(Duration.milliseconds(7).millisecondsRoundedUp == 7)
        #expect(Duration.milliseconds(7).nanosecondsRoundedUp == 7_000_000)
    }

    @Test func `rounds negative durations towards zero`() {
        #expect(Duration.microseconds(-1500).nanoseconds == -1_500_000)
        #expect((Duration.nanoseconds(-3) / 2).nanoseconds == -1)
        #expect((Duration.nanoseconds(-3) / 2).nanosecondsRoundedUp == -1)
        #expect(Duration.seconds(-1).millisecondsRoundedUp == 0)
    }

    @Test(arguments: [Int64.max, Int64.max / 1000, Int64.max / 1_000_000_000 + 1])
    func `saturates durations that are too long for nanoseconds`(seconds: Int64) {
        #expect(Duration.seconds(seconds).nanoseconds == .max)
        #expect(Duration.seconds(seconds).nanosecondsRoundedUp == .max)
        #expect(Duration.seconds(seconds).milliseconds == Int64.max / 1_000_000)
        #expect(Duration.seconds(seconds).millisecondsRoundedUp == Int64.max / 1_000_000 + 1)
        #expect(Duration.seconds(-seconds).nanoseconds == .min)
    }

    @Test func `adds a duration to both clocks of a timestamp and saturates`() {
        let timestamp = Timestamp(monotonic: 5, wall: .max - 5)
        #expect(timestamp + .nanoseconds(3) == Timestamp(monotonic: 8, wall: .max - 2))
        #expect(timestamp + .nanoseconds(9) == Timestamp(monotonic: 14, wall: .max))
    }

    @Test func `adds to and subtracts monotonic instants and saturates`() {
        let instant = MonotonicInstant.start + .seconds(1)
        #expect(instant - .start == .seconds(1))
        #expect(MonotonicInstant.start < instant)
        let last = MonotonicInstant(nanoseconds: .max)
        let first = MonotonicInstant(nanoseconds: .min)
        #expect(last + .nanoseconds(1) == last)
        #expect(first + .nanoseconds(-1) == first)
        #expect(last - first == .nanoseconds(Int64.max))
        #expect(first - last == .nanoseconds(Int64.min))
    }
}
