import Glibc

/// Formats values as Go does, for the responses and flags of nsqd.
package enum GoText {
    /// Formats a duration as Go's `time.Duration` does: `1m2.5s`, `35.083324ms`, `0s`.
    package static func duration(nanoseconds: Int64) -> String {
        switch nanoseconds {
        case 0: return "0s"
        case ..<1_000: return "\(nanoseconds)ns"
        case ..<1_000_000: return decimal(nanoseconds, digits: 3) + "µs"
        case ..<1_000_000_000: return decimal(nanoseconds, digits: 6) + "ms"
        default: break
        }
        let minutes = nanoseconds / 60_000_000_000
        let seconds = decimal(nanoseconds % 60_000_000_000, digits: 9) + "s"
        if minutes == 0 { return seconds }
        let hours = minutes / 60
        return (hours == 0 ? "" : "\(hours)h") + "\(minutes % 60)m" + seconds
    }

    /// Formats a latency as nsqd does, with one decimal digit: `35.1ms`.
    package static func rounded(nanoseconds: Int64) -> String {
        switch nanoseconds {
        case ...1_000: "\(nanoseconds).0ns"
        case ...1_000_000: tenths(nanoseconds, of: 1_000) + "us"
        case ...1_000_000_000: tenths(nanoseconds, of: 1_000_000) + "ms"
        default: tenths(nanoseconds, of: 1_000_000_000) + "s"
        }
    }

    private static func tenths(_ number: Int64, of unit: Int64) -> String {
        let rounded = Int64((Double(number) * 10 / Double(unit)).rounded(.toNearestOrEven))
        return "\(rounded / 10).\(rounded % 10)"
    }

    /// Returns `number / 10^digits` as a decimal fraction without trailing zeros.
    private static func decimal(_ number: Int64, digits: Int) -> String {
        let power = (0..<digits).reduce(Int64(1)) { power, _ in power * 10 }
        let fraction = String(number % power)
        let padded = String(repeating: "0", count: digits - fraction.count) + fraction
        let trimmed = padded.reversed().drop { $0 == "0" }.reversed()
        return "\(number / power)" + (trimmed.isEmpty ? "" : "." + String(trimmed))
    }

    /// Formats a time by RFC 3339, in the local time zone.
    package static func date(secondsSince1970: Int64) -> String {
        var time = time_t(secondsSince1970)
        var parts = tm()
        localtime_r(&time, &parts)
        func two(_ number: Int) -> String { (number < 10 ? "0" : "") + String(number) }
        func joined(_ numbers: Int32..., by separator: String) -> String {
            numbers.map { two(Int($0)) }.joined(separator: separator)
        }
        let date = joined(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, by: "-")
        let clock = joined(parts.tm_hour, parts.tm_min, parts.tm_sec, by: ":")
        let offset = parts.tm_gmtoff / 60
        let zone =
            offset == 0
            ? "Z" : (offset < 0 ? "-" : "+") + two(abs(offset) / 60) + ":" + two(abs(offset) % 60)
        return "\(date)T\(clock)\(zone)"
    }

    /// Parses a Boolean query parameter as nsqd does.
    ///
    /// - Parameters:
    ///   - absent: the result if the parameter is missing.
    ///   - other: the result if the text is no Boolean.
    package static func bool(_ text: String?, absent: Bool, other: Bool) -> Bool {
        switch text {
        case nil: absent
        case "true", "1": true
        case "false", "0": false
        default: other
        }
    }

    /// Appends spaces to a text up to a number of characters, as Go's `%-15s` does.
    package static func padded(_ text: some CustomStringConvertible, _ width: Int) -> String {
        let text = text.description
        return text + String(repeating: " ", count: max(0, width - text.unicodeScalars.count))
    }
}
