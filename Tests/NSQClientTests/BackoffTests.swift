import NSQClient
import Testing

@Suite struct `The pause after failures` {
    @Test func `doubles up to its bound and starts again after success`() {
        var backoff = Backoff(shortest: .milliseconds(100), longest: .milliseconds(700))
        let pauses = (0..<5).map { _ in backoff.delayAfterFailure(chance: 1) }
        #expect(pauses == [100, 200, 400, 700, 700].map { .milliseconds($0) })
        backoff.reset()
        #expect(backoff.delayAfterFailure(chance: 1) == .milliseconds(100))
    }

    @Test func `is spread over its upper half by chance`() {
        var backoff = Backoff(shortest: .seconds(1), longest: .seconds(60))
        #expect(backoff.delayAfterFailure(chance: 0) == .milliseconds(500))
        #expect(backoff.delayAfterFailure(chance: 0.5) == .milliseconds(1500))
    }

    @Test func `stays at its bound after ever so many failures`() {
        var backoff = Backoff(shortest: .milliseconds(1), longest: .seconds(10))
        for _ in 0..<1000 { _ = backoff.delayAfterFailure(chance: 1) }
        #expect(backoff.delayAfterFailure(chance: 1) == .seconds(10))
    }
}
