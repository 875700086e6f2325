import Testing

@testable import NSQClient

@Suite struct `The flow control of a consumer` {
    private var flow = InFlightLimit(
        maxInFlight: 100, hasDemand: true,
        backoff: FailureBackoff(multiplier: .seconds(1), longest: .seconds(10)))

    @Test mutating func `allows max-in-flight only with demand, and not while paused`() {
        #expect(flow.limit == 100)
        flow.hasDemand = false
        #expect(flow.limit == 0)
        flow.hasDemand = true
        flow.isPaused = true
        #expect(flow.limit == 0)
        flow.isPaused = false
        #expect(flow.limit == 100)
    }

    @Test mutating func `doubles the wait after each failed test message, up to the longest`() {
        for wait in [2, 4, 8, 8, 8] {
            #expect(flow.backoff.record(isSuccess: false) == .seconds(wait))
            #expect(flow.limit == 0)
            flow.backoff.endWait()
            #expect(flow.limit == 1)
        }
    }

    @Test mutating func `halves the wait after each test message that succeeds`() {
        for _ in 0..<3 {
            _ = flow.backoff.record(isSuccess: false)
            flow.backoff.endWait()
        }
        for wait in [4, 2] {
            #expect(flow.backoff.record(isSuccess: true) == .seconds(wait))
            #expect(flow.limit == 0)
            flow.backoff.endWait()
            #expect(flow.limit == 1)
        }
        #expect(flow.backoff.record(isSuccess: true) == nil)
        #expect(flow.limit == 100)
        #expect(flow.backoff.record(isSuccess: false) == .seconds(2))
    }

    @Test mutating func `ignores messages that end during a wait`() {
        _ = flow.backoff.record(isSuccess: false)
        #expect(flow.backoff.record(isSuccess: false) == nil)
        #expect(flow.backoff.record(isSuccess: true) == nil)
        #expect(flow.limit == 0)
        flow.backoff.endWait()
        #expect(flow.backoff.record(isSuccess: false) == .seconds(4))
    }

    @Test func `waits for the longest duration if the multiplier exceeds it`() {
        var flow = InFlightLimit(
            maxInFlight: 1, hasDemand: true,
            backoff: FailureBackoff(multiplier: .seconds(60), longest: .seconds(10)))
        #expect(flow.backoff.record(isSuccess: false) == .seconds(10))
        flow.backoff.endWait()
        #expect(flow.backoff.record(isSuccess: true) == nil)
        #expect(flow.backoff.phase == .none)
    }

    @Test func `never waits with a longest wait of zero`() {
        var flow = InFlightLimit(
            maxInFlight: 7, hasDemand: true,
            backoff: FailureBackoff(multiplier: .seconds(1), longest: .zero))
        #expect(flow.backoff.record(isSuccess: false) == nil)
        #expect(flow.limit == 7)
    }
}

@Suite struct `A retry policy` {
    @Test func `doubles the delay with each attempt, up to the maximum`() {
        var policy = RetryPolicy()
        policy.firstDelay = .seconds(1)
        policy.maxDelay = .seconds(5)
        #expect(
            (0...5).map { policy.fullDelay(after: $0) } == [1, 1, 2, 4, 5, 5].map { .seconds($0) })
        #expect(policy.fullDelay(after: .max) == .seconds(5))
        for _ in 0..<100 {
            let delay = policy.delay(after: 3)
            #expect(delay >= .seconds(2) && delay <= .seconds(4))
        }
    }

    @Test func `has go-nsq's defaults`() {
        let policy = RetryPolicy()
        #expect(policy.maxAttempts == 5)
        #expect(policy.fullDelay(after: 1) == .seconds(90))
        #expect(policy.fullDelay(after: 65_535) == .seconds(900))
    }

    @Test func `is exhausted after the last attempt, or never`() {
        var policy = RetryPolicy()
        policy.maxAttempts = 3
        #expect([1, 2, 3, 4].map { policy.isExhausted(after: $0) } == [false, false, true, true])
        policy.maxAttempts = 0
        #expect(!policy.isExhausted(after: 65_535))
    }

    @Test func `treats negative delays as zero`() {
        var policy = RetryPolicy()
        policy.firstDelay = .seconds(-1)
        #expect(policy.fullDelay(after: 4) == .zero)
        policy.maxDelay = .seconds(-5)
        #expect(policy.fullDelay(after: 1) == .zero)
    }
}
