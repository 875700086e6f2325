/// Parses one JSON text, either strictly or with the leniency of Go.
///
/// Foundation's `JSONDecoder` is not used, because it differs from Go. It requires UTF-8 in strings,
/// accepts a byte order mark and trailing commas, and does not report duplicate names.
struct JSONParser {
    private let bytes: [UInt8]
    private let isStrict: Bool
    private let maxDepth: Int
    /// The number of levels that are stored. Arrays and objects below them become `.skipped`.
    private let keptDepth: Int
    private var offset = 0

    init(_ bytes: [UInt8], isStrict: Bool, maxDepth: Int, keptDepth: Int) {
        self.bytes = bytes
        self.isStrict = isStrict
        self.maxDepth = maxDepth
        self.keptDepth = keptDepth
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value(depth: 1)
        skipSpace()
        guard offset == bytes.count else { throw .malformed }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard depth <= maxDepth else { throw .tooDeep }
            guard depth <= keptDepth else {
                try skipNested(depth: depth)
                return .skipped
            }
            return peek == UInt8(ascii: "{") ? try object(depth: depth) : try array(depth: depth)
        default: return try scalar()
        }
    }

    // MARK: Arrays and objects

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        var members: [JSONValue.Member] = []
        var names: Set<[UInt8]> = []
        try expect("{")
        guard !skip("}") else { return .object(members) }
        repeat {
            let name = try name()
            let text = String(decoding: name.bytes, as: UTF8.self)
            members.append(.init(name: text, value: try value(depth: depth + 1)))
            // Names are compared by bytes, because two `String`s with different bytes can be equal.
            if isStrict, !names.insert(name.bytes).inserted { throw .duplicateName }
        } while skip(",")
        try expect("}")
        return .object(members)
    }

    private mutating func name() throws(JSONError) -> Text {
        let name = try text()
        try expect(":")
        return name
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        try expect("[")
        var elements: [JSONValue] = []
        guard !skip("]") else { return .array(elements) }
        repeat { elements.append(try value(depth: depth + 1)) } while skip(",")
        try expect("]")
        return .array(elements)
    }

    /// Checks an array or object without recursion.
    private mutating func skipNested(depth: Int) throws(JSONError) {
        var ends: [Unicode.Scalar] = []
        repeat {
            if let end = skipOpening() {
                ends.append(end)
                guard depth + ends.count - 1 <= maxDepth else { throw .tooDeep }
                if !skip(end) {
                    if end == "}" { _ = try name() }
                    continue
                }
                ends.removeLast()
            } else {
                _ = try scalar()
            }
            while let end = ends.last {
                if skip(",") {
                    if end == "}" { _ = try name() }
                    break
                }
                try expect(end)
                ends.removeLast()
            }
        } while !ends.isEmpty
    }

    /// Skips an opening bracket or brace.
    ///
    /// - Returns: its counterpart; `nil` if another character is next.
    private mutating func skipOpening() -> Unicode.Scalar? {
        if skip("[") { return "]" }
        return skip("{") ? "}" : nil
    }

    // MARK: Scalars

    private mutating func scalar() throws(JSONError) -> JSONValue {
        skipSpace()
        switch peek {
        case UInt8(ascii: "\""): return try text().value
        case UInt8(ascii: "t"):
            try expect(literal: "true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect(literal: "false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect(literal: "null")
            return .null
        default: return .number(try number())
        }
    }

    /// `-? (0 | [1-9][0-9]*) (\.[0-9]+)? ([eE][+-]?[0-9]+)?`
    private mutating func number() throws(JSONError) -> String {
        let start = offset
        accept("-")
        if !accept("0") { try digits() }
        if accept(".") { try digits() }
        if accept("e") || accept("E") {
            if !accept("+") { accept("-") }
            try digits()
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() throws(JSONError) {
        let start = offset
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            offset += 1
        }
        guard offset > start else { throw .malformed }
    }

    private mutating func expect(literal: StaticString) throws(JSONError) {
        let end = offset + literal.utf8CodeUnitCount
        let expected = UnsafeRawBufferPointer(start: literal.utf8Start, count: end - offset)
        guard end <= bytes.count, bytes[offset..<end].elementsEqual(expected) else {
            throw .malformed
        }
        offset = end
    }

    // MARK: Strings

    /// A string with its escapes decoded.
    private struct Text {
        /// UTF-8, with unpaired surrogates in three bytes each.
        var bytes: [UInt8] = []
        var hasSurrogates = false

        /// The value of the text. A text with unpaired surrogates is stored as bytes, because a
        /// `String` would replace the surrogates. In any other text, bytes that are not UTF-8 become
        /// U+FFFD.
        var value: JSONValue {
            hasSurrogates
                ? .surrogateString(bytes) : .string(String(decoding: bytes, as: UTF8.self))
        }

        mutating func append(_ scalar: Unicode.Scalar) {
            bytes.append(contentsOf: UTF8.encode(scalar)!)
        }

        mutating func append(surrogate unit: UInt16) {
            bytes += [0xED, 0x80 | UInt8(unit >> 6 & 0x3F), 0x80 | UInt8(unit & 0x3F)]
            hasSurrogates = true
        }
    }

    private mutating func text() throws(JSONError) -> Text {
        try expect("\"")
        var text = Text()
        while true {
            guard let byte = peek, byte >= 0x20 else { throw .malformed }
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return text
            case UInt8(ascii: "\\"): try appendEscape(to: &text)
            default: text.bytes.append(byte)
            }
        }
    }

    private mutating func appendEscape(to text: inout Text) throws(JSONError) {
        guard peek != UInt8(ascii: "u") else {
            offset += 1
            return try appendUnicodeEscape(to: &text)
        }
        text.append(try singleCharacterEscape())
    }

    private mutating func singleCharacterEscape() throws(JSONError) -> Unicode.Scalar {
        guard let byte = peek else { throw .malformed }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        default: throw .malformed
        }
    }

    /// Appends the scalar of one `\u` escape, or of two that are a surrogate pair.
    private mutating func appendUnicodeEscape(to text: inout Text) throws(JSONError) {
        let unit = try hexUnit()
        let offsetBehindUnit = offset
        if UTF16.isLeadSurrogate(unit), accept("\\") {
            guard peek != nil else { throw .malformed }
            let trail = accept("u") ? try hexUnit() : 0
            if UTF16.isTrailSurrogate(trail) {
                return text.append(UTF16.decode(UTF16.EncodedScalar([unit, trail])))
            }
        }
        if let scalar = Unicode.Scalar(unit) { return text.append(scalar) }
        offset = offsetBehindUnit
        if isStrict { text.append(surrogate: unit) } else { text.append("\u{fffd}") }
    }

    private mutating func hexUnit() throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw .malformed
            }
            unit = unit << 4 | UInt16(digit)
            offset += 1
        }
        return unit
    }

    // MARK: Characters

    private mutating func expect(_ scalar: Unicode.Scalar) throws(JSONError) {
        guard skip(scalar) else { throw .malformed }
    }

    /// Skips white space, and `scalar` if that is next.
    ///
    /// - Returns: `true` if it skipped `scalar`.
    private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        return accept(scalar)
    }

    /// Skips `scalar` if that is next.
    ///
    /// - Returns: `true` if it skipped `scalar`.
    @discardableResult
    private mutating func accept(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: scalar) else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d {
            offset += 1
        }
    }

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }
}
