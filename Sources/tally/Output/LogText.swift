/// Makes text from clients safe for a log line.
enum LogText {
    /// The maximum size of a text in a log line, in bytes of UTF-8.
    static let maxBytes = 4 << 10

    /// - Returns: `text` with control characters as escapes like `\x1b`. A text longer than
    ///   ``maxBytes`` is truncated, and its full length in bytes is appended. So no client can
    ///   forge log lines or flood the log.
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
}
