import TallyBasics
import Testing

@Suite struct `A backoff` {
    @Test func `doubles its delay up to the bound and starts again after a reset`() {
        var backoff = Backoff(from: .milliseconds(100), upTo: .milliseconds(700), jitterSeed: nil)
        let delays = (0..<5).map { _ in backoff.nextDelay() }
        #expect(delays == [100, 200, 400, 700, 700].map { .milliseconds($0) })
        #expect(backoff.failures == 5)
        backoff.reset()
        #expect(backoff.failures == 0)
        #expect(backoff.nextDelay() == .milliseconds(100))
    }

    @Test func `reduces each delay by a random part of up to half`() {
        var fractions: [Double] = []
        for seed in 0..<1000 as Range<UInt64> {
            var backoff = Backoff(from: .seconds(1), upTo: .seconds(60), jitterSeed: seed)
            fractions.append(backoff.nextDelay() / .seconds(1))
            #expect((1...2).contains(backoff.nextDelay() / .seconds(1)))
        }
        #expect(fractions.allSatisfy { (0.5...1).contains($0) })
        #expect(fractions.min()! < 0.51 && fractions.max()! > 0.99)
    }

    @Test func `repeats its delays for the same seed`() {
        var one = Backoff(from: .seconds(1), upTo: .seconds(60), jitterSeed: 7)
        var other = one
        #expect((0..<9).map { _ in one.nextDelay() } == (0..<9).map { _ in other.nextDelay() })
    }

    @Test func `stays at its bound after any number of failures`() {
        var backoff = Backoff(from: .milliseconds(1), upTo: .seconds(10), jitterSeed: nil)
        for _ in 0..<1000 { _ = backoff.nextDelay() }
        #expect(backoff.nextDelay() == .seconds(10))
    }

    @Test func `does not overflow when the bound is the longest duration`() {
        let longest = Duration.seconds(Int64.max)
        var backoff = Backoff(from: .seconds(1), upTo: longest, jitterSeed: nil)
        for _ in 0..<1000 { _ = backoff.nextDelay() }
        #expect(backoff.nextDelay() == longest)
    }
}
