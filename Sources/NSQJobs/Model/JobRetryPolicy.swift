import TallyBasics

/// The maximum number of attempts of a job, and the delays after failed attempts.
///
/// The delay after the first failure is ``firstDelay``. It doubles with each further failure up to
/// ``maxDelay``. A random part is subtracted, so that jobs that failed together do not return together.
public struct JobRetryPolicy: Hashable, Sendable {
    /// The maximum number of attempts, including the first: 1 to 10,000, 20 by default.
    public var maxAttempts: Int
    /// The delay after the first failure, 15 s by default.
    public var firstDelay: Duration
    /// The maximum delay, 12 h by default.
    public var maxDelay: Duration
    /// The largest part of a delay that is subtracted at random: 0 to 1, 0.25 by default.
    public var jitter: Double

    /// Creates a policy.
    public init(
        maxAttempts: Int = 20, firstDelay: Duration = .seconds(15),
        maxDelay: Duration = .seconds(12 * 3600), jitter: Double = 0.25
    ) {
        self.maxAttempts = maxAttempts
        self.firstDelay = firstDelay
        self.maxDelay = maxDelay
        self.jitter = jitter
    }

    /// Returns the delay after a failed attempt.
    ///
    /// - Parameters:
    ///   - attempt: the number of the attempt that failed, from 1.
    ///   - seed: determines the random part. The same seed gives the same delay.
    public func delay(afterAttempt attempt: Int, seed: UInt64) -> Duration {
        let full = fullDelay(afterAttempt: attempt)
        var generator = SplitMix64(seed: seed ^ UInt64(truncatingIfNeeded: attempt))
        let part = min(max(jitter, 0), 1) * generator.nextFraction()
        // The multiplication by a floating-point number is not exact.
        return part > 0 ? full * (1 - part) : full
    }

    private func fullDelay(afterAttempt attempt: Int) -> Duration {
        let longest = max(maxDelay, .zero)
        let first = min(max(firstDelay, .zero), longest)
        let doublings = max(attempt - 1, 0)
        guard doublings < 32, first < longest / (1 << doublings) else { return longest }
        return first * (1 << doublings)
    }
}
