/// A point in time on two clocks: the monotonic clock for deadlines, and the wall clock for the
/// times that clients see.
@usableFromInline
package struct Timestamp: Equatable, Sendable {
    /// The time on the monotonic clock, which never jumps, in nanoseconds.
    @usableFromInline package var monotonic: Int64
    /// The time on the wall clock, in nanoseconds since 1970.
    @usableFromInline package var wall: Int64

    /// Creates a timestamp from the times on both clocks.
    ///
    /// - Parameters:
    ///   - monotonic: the time on the monotonic clock, in nanoseconds.
    ///   - wall: the time on the wall clock, in nanoseconds since 1970.
    @inlinable
    package init(monotonic: Int64, wall: Int64) {
        self.monotonic = monotonic
        self.wall = wall
    }

    /// Returns the timestamp `duration` later on both clocks. The result saturates instead of
    /// overflowing.
    @inlinable
    package static func + (timestamp: Timestamp, duration: Duration) -> Timestamp {
        let passed = duration.nanoseconds
        return Timestamp(
            monotonic: timestamp.monotonic.addingSaturated(passed),
            wall: timestamp.wall.addingSaturated(passed))
    }
}
