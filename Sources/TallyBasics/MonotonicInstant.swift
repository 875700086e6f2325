/// A point in time on the monotonic clock, in nanoseconds.
///
/// An instant takes 8 bytes, half the size of a `Duration`, because the play logs store one per
/// play.
@usableFromInline
package struct MonotonicInstant: Hashable, Comparable, Sendable {
    /// The time since the clock's origin, in nanoseconds.
    @usableFromInline package let nanoseconds: Int64

    /// Creates an instant.
    ///
    /// - Parameter nanoseconds: the time since the clock's origin.
    @inlinable
    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The origin of the clock.
    package static let start = MonotonicInstant(nanoseconds: 0)

    /// Returns the instant `duration` after `instant`. The result saturates instead of overflowing.
    @inlinable
    package static func + (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: instant.nanoseconds.addingSaturated(duration.nanoseconds))
    }

    /// Returns the time from `earlier` to `later`. The result saturates instead of overflowing.
    @inlinable
    package static func - (later: MonotonicInstant, earlier: MonotonicInstant) -> Duration {
        let (difference, overflow) =
            later.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        return .nanoseconds(overflow ? (later.nanoseconds < 0 ? .min : .max) : difference)
    }

    /// Returns `true` if `left` is earlier than `right`.
    @inlinable
    package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
