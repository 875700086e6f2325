import Foundation

extension JobTime: CustomStringConvertible {
    /// The time by ISO 8601 in UTC with milliseconds, such as `2026-01-31T12:00:00.000Z`.
    public var description: String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// Parses a time by ISO 8601, such as `2026-01-31T12:00:00Z` or `2026-01-31T13:00:00.250+01:00`.
    package init?(iso8601 text: String) {
        for isFractional in [false, true] {
            let style = Date.ISO8601FormatStyle(includingFractionalSeconds: isFractional)
            if let date = try? style.parse(text) {
                self.init(date)
                return
            }
        }
        return nil
    }
}
