import Testing

@testable import tally

@Suite struct `The watch for a standstill` {
    private var detector = StandstillDetector(
        limit: .seconds(30), longestStep: .seconds(30), at: .zero)
    private var counters = StandstillDetector.Counters()

    @Test mutating func `reports a subscription without an answer`() {
        #expect(detector.check(counters, at: .seconds(29)) == nil)
        let text = detector.check(counters, at: .seconds(30))
        #expect(text == "no progress for 30.0 seconds: nsqd has not answered the subscription")
    }

    @Test mutating func `reports plays that do not arrive`() {
        (counters.isSubscribed, counters.sent, counters.published) = (true, 10, 10)
        counters.counted = 4
        #expect(detector.check(counters, at: .seconds(20)) == nil)
        #expect(detector.check(counters, at: .seconds(49)) == nil)
        #expect(
            detector.check(counters, at: .seconds(50))?.hasSuffix(
                "10 plays sent, 10 acknowledged by nsqd, 4 counted") == true)
    }

    @Test mutating func `reports plays that nsqd does not acknowledge`() {
        (counters.isSubscribed, counters.sent) = (true, 10)
        #expect(detector.check(counters, at: .zero) == nil)
        #expect(detector.check(counters, at: .seconds(30)) != nil)
    }

    @Test mutating func `starts again with each progress`() {
        (counters.isSubscribed, counters.sent) = (true, 10)
        for second in stride(from: 0, to: 200, by: 20) {
            counters.published += 1
            #expect(detector.check(counters, at: .seconds(second)) == nil)
        }
    }

    @Test mutating func `does not count the time in which the machine was suspended`() {
        detector = StandstillDetector(
            limit: .seconds(30), longestStep: .seconds(1), at: .zero)
        for hour in 1...29 { #expect(detector.check(counters, at: .seconds(hour * 3600)) == nil) }
        #expect(detector.check(counters, at: .seconds(30 * 3600)) != nil)
    }

    @Test mutating func `allows any time until the next play of a slow producer`() {
        (counters.isSubscribed, counters.sent, counters.published) = (true, 10, 10)
        counters.counted = 10
        #expect(detector.check(counters, at: .zero) == nil)
        #expect(detector.check(counters, at: .seconds(3600)) == nil)
    }
}

@Suite struct `The scheduling delay` {
    @Test func `is the second number of schedstat`() {
        #expect(SchedulingDelay.parse("1197345 84249 2\n") == .nanoseconds(84249))
        #expect(SchedulingDelay.parse("") == nil)
        #expect(SchedulingDelay.parse("a b c") == nil)
    }
}
