/// Makes text from clients safe for a line of a log.
enum LogText {
    /// The maximum size of a text in a log line, in bytes of UTF-8.
    static let maxBytes = 4 << 10

    /// - Returns: `text` with control characters escaped, such as `\x1b`. A text longer than
    ///   ``maxBytes`` is truncated, and its full length in bytes is appended. So a client can
    ///   neither forge log lines nor flood the log.
    static func sanitized(_ text: String) -> String {
        let isCut = text.utf8.count > maxBytes
        guard isCut || text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return text }
        var safe = ""
        for scalar in text.unicodeScalars {
            guard safe.utf8.count < maxBytes else { break }
            switch scalar {
            case "\n": safe += "\\n"
            case "\r": safe += "\\r"
            case "\t": safe += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                safe += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: safe.unicodeScalars.append(scalar)
            }
        }
        return isCut ? "\(safe)… (\(text.utf8.count) bytes)" : safe
    }

    /// - Returns: `text`, truncated like by ``sanitized(_:)`` if it is longer than ``maxBytes``.
    ///   Control characters are not escaped.
    static func limited(_ text: String) -> String {
        guard text.utf8.count > maxBytes else { return text }
        var start = ""
        for scalar in text.unicodeScalars {
            guard start.utf8.count < maxBytes else { break }
            start.unicodeScalars.append(scalar)
        }
        return "\(start)… (\(text.utf8.count) bytes)"
    }
}
