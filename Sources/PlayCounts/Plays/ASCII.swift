/// Names for the ASCII bytes in JSON and GUIDs.
extension UInt8 {
    static let tab = UInt8(ascii: "\t")
    static let newline = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")
    static let comma = UInt8(ascii: ",")
    static let colon = UInt8(ascii: ":")
    static let hyphen = UInt8(ascii: "-")
    static let zero = UInt8(ascii: "0")
    static let openBrace = UInt8(ascii: "{")
    static let closeBrace = UInt8(ascii: "}")
    static let openBracket = UInt8(ascii: "[")
    static let closeBracket = UInt8(ascii: "]")

    var isDigit: Bool { self &- .zero < 10 }

    /// `true` for the four white space characters of JSON.
    var isSpace: Bool {
        self == .space || self == .newline || self == .tab || self == .carriageReturn
    }
}

extension Collection<UInt8> {
    /// Whether the bytes start with a byte order mark in UTF-8.
    var hasByteOrderMark: Bool {
        first == 0xEF && dropFirst().first == 0xBB && dropFirst(2).first == 0xBF
    }
}

extension [UInt8] {
    /// Appends the UTF-8 of a literal.
    mutating func append(_ text: StaticString) {
        append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a number in decimal digits.
    mutating func append(decimal number: Int) {
        precondition(number >= 0, "a count is never negative")
        let start = count
        var rest = number
        repeat {
            append(.zero + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }

    /// Appends the text of a GUID.
    mutating func append(_ guid: GUID) {
        withUnsafeTemporaryAllocation(byteCount: GUID.textBytes, alignment: 1) { text in
            guid.write(to: text)
            append(contentsOf: text)
        }
    }
}
