/// A point in time as the broker needs it: one clock for deadlines, one for timestamps.
///
/// The core has no clock of its own. Whoever calls it says when.
package struct Moment: Equatable, Sendable {
    /// Nanoseconds of a clock that never jumps: for deadlines.
    package var monotonic: Int64
    /// Nanoseconds since 1970: for what clients see.
    package var wall: Int64

    package init(monotonic: Int64, wall: Int64) {
        self.monotonic = monotonic
        self.wall = wall
    }

    package static func + (moment: Moment, duration: Duration) -> Moment {
        let passed = duration.nanoseconds
        return Moment(monotonic: moment.monotonic + passed, wall: moment.wall + passed)
    }
}

extension Duration {
    /// The whole duration in nanoseconds; 292 years is the most there is.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// The whole duration in milliseconds, as most of NSQ's numbers are given.
    package var milliseconds: Int { Int(nanoseconds / 1_000_000) }
}
