/// The target of a request: a decoded path and a raw query.
package struct HTTPTarget: Equatable, Sendable {
    /// The target as received, for the log.
    package let text: String
    /// The path, percent-decoded.
    package let path: String
    /// The text after the first `?`, with its percent escapes; `nil` without a `?`.
    package let query: String?

    /// Parses `/path?query`, `http://host/path?query` or `*`.
    ///
    /// - Returns: `nil` if the path has an invalid percent escape.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        var rest = bytes[...]
        if bytes.first != UInt8(ascii: "/"), let scheme = bytes.firstRange(of: "://".utf8) {
            rest = bytes[scheme.upperBound...].drop {
                $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?")
            }
        }
        let mark = rest.firstIndex(of: UInt8(ascii: "?"))
        guard let path = PercentCoding.decode(rest[..<(mark ?? rest.endIndex)]) else { return nil }
        self.text = text
        self.path = path.isEmpty ? "/" : path
        query = mark.map { String(decoding: rest[($0 + 1)...], as: UTF8.self) }
    }
}

/// The arguments of a query, in order.
package struct HTTPQuery: Sendable {
    private let arguments: [(name: String, value: String)]

    /// Parses a query; `nil` counts as an empty query.
    ///
    /// - Returns: `nil` if the text has an invalid percent escape or a semicolon. Go, and therefore
    ///   nsqd, rejects semicolons, because standards disagree on whether a semicolon separates
    ///   arguments.
    package init?(parsing text: String?) {
        var arguments: [(name: String, value: String)] = []
        for part in Array((text ?? "").utf8).split(separator: UInt8(ascii: "&")) {
            let end = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            guard !part.contains(UInt8(ascii: ";")),
                let name = PercentCoding.decode(part[..<end], plusIsSpace: true),
                let value = PercentCoding.decode(part[end...].dropFirst(), plusIsSpace: true)
            else { return nil }
            arguments.append((name, value))
        }
        self.arguments = arguments
    }

    /// The value of the first argument with this name.
    package subscript(_ name: String) -> String? {
        arguments.first { $0.name == name }?.value
    }
}

/// Encodes and decodes percent escapes: `%41` is `A`.
package enum PercentCoding {
    /// Decodes the percent escapes in `text`; decodes `+` as a space if `plusIsSpace` is `true`.
    ///
    /// - Returns: `nil` if a percent sign is not followed by two hex digits.
    package static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
        decode(Array(text.utf8)[...], plusIsSpace: plusIsSpace)
    }

    /// Decodes the percent escapes in UTF-8 text. The method compares bytes, because finding the
    /// boundaries of characters takes a hundred times longer.
    static func decode(_ text: ArraySlice<UInt8>, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst()?.hexDigit, let low = rest.popFirst()?.hexDigit
                else { return nil }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Escapes all characters except letters, digits, `-._~` and those in `kept`.
    package static func encode(_ text: String, keeping kept: String = "") -> String {
        var encoded = ""
        for byte in text.utf8 {
            let scalar = UnicodeScalar(byte)
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "-", ".", "_", "~":
                encoded.unicodeScalars.append(scalar)
            case _ where kept.unicodeScalars.contains(scalar):
                encoded.unicodeScalars.append(scalar)
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return encoded
    }
}

extension UInt8 {
    fileprivate var hexDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
