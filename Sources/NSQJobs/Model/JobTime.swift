import Foundation
import TallyBasics

/// A point in time on the wall clock, in microseconds since 1970.
public struct JobTime: Hashable, Comparable, Sendable {
    /// The microseconds since 1970-01-01 00:00 UTC.
    public let microseconds: Int64

    /// Creates a time.
    ///
    /// - Parameter microseconds: the microseconds since 1970-01-01 00:00 UTC.
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// Converts a date. Dates beyond ±292,000 years become the nearest time.
    public init(_ date: Date) {
        let microseconds = (date.timeIntervalSince1970 * 1_000_000).rounded()
        self.init(
            microseconds: Int64(exactly: microseconds) ?? (microseconds < 0 ? .min : .max))
    }

    /// The time as a date.
    public var date: Date { Date(timeIntervalSince1970: Double(microseconds) / 1_000_000) }

    /// Returns the time `duration` later. The result saturates instead of overflowing.
    public static func + (time: JobTime, duration: Duration) -> JobTime {
        let passed = duration.nanosecondsRoundedUp
        // Rounds up, so that a delay is never shorter than requested.
        let microseconds = passed / 1_000 + (passed % 1_000 > 0 ? 1 : 0)
        return JobTime(microseconds: time.microseconds.addingSaturated(microseconds))
    }

    /// Returns the time from `earlier` to `later`. The result saturates instead of overflowing.
    public static func - (later: JobTime, earlier: JobTime) -> Duration {
        .microseconds(later.microseconds.subtractingSaturated(earlier.microseconds))
    }

    /// Returns `true` if `left` is earlier than `right`.
    public static func < (left: JobTime, right: JobTime) -> Bool {
        left.microseconds < right.microseconds
    }
}

extension JobTime: Codable {
    /// Decodes a number of microseconds since 1970.
    public init(from decoder: any Decoder) throws {
        self.init(microseconds: try decoder.singleValueContainer().decode(Int64.self))
    }

    /// Encodes the number of microseconds since 1970.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(microseconds)
    }
}
