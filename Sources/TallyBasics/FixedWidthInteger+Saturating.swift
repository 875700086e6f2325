extension FixedWidthInteger where Self: SignedInteger {
    /// Returns the sum, or the nearest number of the type if the sum overflows.
    @inlinable
    package func addingSaturated(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    /// Returns the difference, or the nearest number of the type if the difference overflows.
    @inlinable
    package func subtractingSaturated(_ other: Self) -> Self {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }

    /// Adds a number. The result is the nearest number of the type if the sum overflows.
    @inlinable
    package mutating func addSaturated(_ other: Self) { self = addingSaturated(other) }
}
