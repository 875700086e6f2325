/// How long to wait before the next attempt: twice as long after each failure, up to a bound, and
/// spread by chance so that many clients do not come back all at once.
package struct Backoff: Sendable {
    package let shortest: Duration
    package let longest: Duration
    package private(set) var failures = 0

    package init(shortest: Duration, longest: Duration) {
        self.shortest = shortest
        self.longest = longest
    }

    /// The delay after one more failure.
    ///
    /// - Parameter chance: from 0 to 1; the delay is from half of the full one to all of it.
    package mutating func delayAfterFailure(chance: Double) -> Duration {
        // Beyond 30 doublings of any sensible start every bound is long reached.
        let full = min(longest, shortest * (1 << min(failures, 30)))
        failures += 1
        return full * (0.5 + chance / 2)
    }

    package mutating func reset() {
        failures = 0
    }
}
