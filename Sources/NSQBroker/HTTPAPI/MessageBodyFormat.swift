import TallyJSON

/// The form in which a response contains the body of a message.
enum MessageBodyFormat: String {
    /// Text if the body is UTF-8, and hex digits otherwise.
    case automatic = "auto"
    /// Text, in which U+FFFD replaces invalid UTF-8.
    case text
    case hex

    /// A body in one form.
    struct Body: Equatable {
        /// The form: `json` for a JSON object or array, `text` or `hex`.
        var format: String
        var text: String
    }

    /// Returns a body in this form.
    ///
    /// - Parameter isCut: `true` if `bytes` are only the start of the body.
    func body(_ bytes: [UInt8], isCut: Bool) -> Body {
        switch self {
        case .hex: return Body(format: "hex", text: Self.hex(bytes))
        case .text: return Body(format: "text", text: String(decoding: bytes, as: UTF8.self))
        case .automatic:
            let whole = isCut ? Self.withoutPartialCharacter(bytes) : bytes
            guard let text = String(validating: whole, as: UTF8.self) else {
                return Body(format: "hex", text: Self.hex(bytes))
            }
            let isJSON = !isCut && Self.isJSON(bytes)
            return Body(format: isJSON ? "json" : "text", text: text)
        }
    }

    /// Returns `true` for a JSON object or array.
    private static func isJSON(_ bytes: [UInt8]) -> Bool {
        // Most texts that are not JSON are recognized by their first byte.
        guard let first = bytes.first(where: { !" \t\r\n".utf8.contains($0) }),
            first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        else { return false }
        return (try? JSONValue(parsingLikeGo: bytes, keptDepth: 1)) != nil
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Removes the incomplete character at the end of a cut text.
    private static func withoutPartialCharacter(_ bytes: [UInt8]) -> [UInt8] {
        guard let start = bytes.suffix(4).lastIndex(where: { $0 & 0xc0 != 0x80 }) else {
            return bytes
        }
        let length = bytes[start] < 0xc0 ? 1 : bytes[start] < 0xe0 ? 2 : bytes[start] < 0xf0 ? 3 : 4
        return start + length > bytes.count ? Array(bytes[..<start]) : bytes
    }
}
