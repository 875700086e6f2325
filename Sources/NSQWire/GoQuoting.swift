extension Bytes {
    /// The bytes in the notation of Go's `%q` format, in which nsqd prints invalid names.
    package var goQuoted: String {
        var quoted = "\""
        var rest = self[...]
        while let first = rest.first {
            switch first {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                quoted += "\\" + String(UnicodeScalar(first))
            case 0x20..<0x7f: quoted.unicodeScalars.append(UnicodeScalar(first))
            case 0x80...:
                let length = Self.appendGoQuoted(multibyte: rest, to: &quoted)
                rest = rest.dropFirst(length - 1)
            default: quoted += Self.goEscape(control: first)
            }
            rest = rest.dropFirst()
        }
        return quoted + "\""
    }

    private static func goEscape(control byte: UInt8) -> String {
        switch byte {
        case 0x07: "\\a"
        case 0x08: "\\b"
        case 0x09: "\\t"
        case 0x0a: "\\n"
        case 0x0b: "\\v"
        case 0x0c: "\\f"
        case 0x0d: "\\r"
        default: "\\x" + twoHexDigits(byte)
        }
    }

    /// Appends the first Unicode scalar in `rest`, or the first byte as `\xNN` if it does not start
    /// a valid UTF-8 sequence.
    ///
    /// - Returns: the number of bytes consumed.
    private static func appendGoQuoted(
        multibyte rest: Slice<UnsafeRawBufferPointer>, to quoted: inout String
    ) -> Int {
        for length in 2...4 where rest.count >= length {
            let candidate = rest.prefix(length)
            if let text = String(validating: candidate, as: UTF8.self),
                let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1
            {
                quoted += scalar.properties.isPrintedByGo ? text : goEscape(scalar)
                return length
            }
        }
        quoted += "\\x" + twoHexDigits(rest.first!)
        return 1
    }

    private static func goEscape(_ scalar: UnicodeScalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return scalar.value < 0x10000
            ? "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            : "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    private static func twoHexDigits(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}

extension UnicodeScalar.Properties {
    /// The result of `unicode.IsPrint` for non-ASCII scalars in Go 1.19, which supports Unicode 13.
    /// nsqd 1.3.0 is built with that version.
    fileprivate var isPrintedByGo: Bool {
        guard let age, age.major <= 13 else { return false }
        return switch generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator, .spaceSeparator:
            false
        default: true
        }
    }
}
