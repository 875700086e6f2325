/// What a request is about: a path, and a query that is left as it came.
package struct HTTPTarget: Equatable, Sendable {
    /// As it came, for the log.
    package let text: String
    /// Percent signs resolved.
    package let path: String
    /// What follows the first `?`; `nil` if there is none.
    package let query: String?

    /// Takes `/path?query`, `http://host/path?query` and `*`.
    ///
    /// - Returns: `nil` if the path has a percent sign that is none.
    package init?(_ text: String) {
        var rest = text[...]
        if let authority = text.firstRange(of: "://"), !text.hasPrefix("/") {
            let behind = text[authority.upperBound...]
            let start = behind.firstIndex { $0 == "/" || $0 == "?" } ?? behind.endIndex
            rest = behind[start...]
        }
        let mark = rest.firstIndex(of: "?")
        guard let path = PercentCoding.decode(rest[..<(mark ?? rest.endIndex)]) else { return nil }
        self.text = text
        self.path = path.isEmpty ? "/" : path
        query = mark.map { String(rest[rest.index(after: $0)...]) }
    }
}

/// The arguments of a query, in the order they came.
package struct HTTPQuery: Sendable {
    private let arguments: [(name: String, value: String)]

    /// - Returns: `nil` for a percent sign that is none, and for a semicolon: whether that
    ///   separates arguments has been read both ways, so Go refuses it, and so nsqd does.
    package init?(parsing text: String?) {
        var arguments: [(name: String, value: String)] = []
        for part in (text ?? "").split(separator: "&") {
            let sides = part.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard !part.contains(";"),
                let name = PercentCoding.decode(sides[0], plusIsSpace: true),
                let value = PercentCoding.decode(sides.dropFirst().first ?? "", plusIsSpace: true)
            else { return nil }
            arguments.append((name, value))
        }
        self.arguments = arguments
    }

    /// The first argument of this name.
    package subscript(_ name: String) -> String? {
        arguments.first { $0.name == name }?.value
    }
}

/// `%41` is `A`.
package enum PercentCoding {
    /// - Returns: `nil` if two hex digits do not follow each percent sign.
    package static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
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

    /// All but letters, digits and `-._~` as `%XX`, and what is in `kept`.
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
