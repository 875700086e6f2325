/// The delays between retries: each failure doubles the delay, up to a maximum.
///
/// With jitter, each delay is reduced by a random part of up to one half, so that many clients do
/// not reconnect at the same time.
package struct Backoff: Sendable {
    private let shortest: Duration
    private let longest: Duration
    private var generator: SplitMix64?
    // INVARIANT: `nextFullDelay` is at most `longest`.
    private var nextFullDelay: Duration

    /// The number of failures since the creation or the last call of ``reset()``.
    package private(set) var failures = 0

    /// Creates a backoff that starts with the shortest delay.
    ///
    /// - Parameters:
    ///   - shortest: the delay after the first failure.
    ///   - longest: the maximum delay.
    ///   - jitterSeed: the seed of the random jitter; `nil` for delays without jitter.
    package init(from shortest: Duration, upTo longest: Duration, jitterSeed: UInt64?) {
        self.shortest = shortest
        self.longest = longest
        generator = jitterSeed.map { SplitMix64(seed: $0) }
        nextFullDelay = min(shortest, longest)
    }

    /// Counts a failure.
    ///
    /// - Returns: the delay before the next attempt.
    package mutating func nextDelay() -> Duration {
        let fullDelay = nextFullDelay
        failures += 1
        nextFullDelay = fullDelay < longest / 2 ? fullDelay * 2 : longest
        guard let fraction = generator?.nextFraction() else { return fullDelay }
        return fullDelay * (0.5 + fraction / 2)
    }

    /// Resets the delay to the shortest one after a success.
    package mutating func reset() {
        failures = 0
        nextFullDelay = min(shortest, longest)
    }
}
