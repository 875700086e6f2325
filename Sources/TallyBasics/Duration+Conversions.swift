extension Duration {
    /// The duration in nanoseconds, rounded towards zero. The result saturates at ±292 years.
    @inlinable
    package var nanoseconds: Int64 {
        nanoseconds(roundingUp: false)
    }

    /// The duration in nanoseconds, rounded up. The result saturates at ±292 years.
    @inlinable
    package var nanosecondsRoundedUp: Int64 {
        nanoseconds(roundingUp: true)
    }

    /// The duration in milliseconds, rounded towards zero. The result saturates at ±292 years.
    @inlinable
    package var milliseconds: Int {
        Int(nanoseconds / 1_000_000)
    }

    /// The duration in milliseconds, rounded up so that a delay is never shorter than requested.
    /// The result saturates at 292 years, and is 0 for a negative duration.
    @inlinable
    package var millisecondsRoundedUp: Int {
        let nanoseconds = max(0, nanosecondsRoundedUp)
        return Int(nanoseconds / 1_000_000) + (nanoseconds % 1_000_000 > 0 ? 1 : 0)
    }

    @inlinable
    func nanoseconds(roundingUp roundsUp: Bool) -> Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let rest = attoseconds % 1_000_000_000
        return whole.addingSaturated(attoseconds / 1_000_000_000 + (roundsUp && rest > 0 ? 1 : 0))
    }
}
