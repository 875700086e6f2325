/// What a member of a JSON object holds. Arrays and objects within are checked, but not kept:
/// nothing in NSQ's own JSON is nested.
enum JSONValue: Equatable {
    case null
    case bool(Bool)
    /// The number as it is spelled.
    case number(String)
    case string(String)
    case nested

    /// Reads the value into `field`; `null` leaves that as it is.
    func read<Field: JSONReadable>(into field: inout Field) throws(JSONError) {
        guard self != .null else { return }
        guard let value = Field(self) else { throw JSONError() }
        field = value
    }
}

/// Not the JSON that was due. What is wrong with it, nsqd does not say either.
struct JSONError: Error {}

/// What a field can be. As in Go a number is whole only if spelled so: 1.0 and 1e3 are not.
protocol JSONReadable {
    init?(_ value: JSONValue)
}

extension Bool: JSONReadable {
    init?(_ value: JSONValue) {
        guard case .bool(let flag) = value else { return nil }
        self = flag
    }
}

extension String: JSONReadable {
    init?(_ value: JSONValue) {
        guard case .string(let text) = value else { return nil }
        self = text
    }
}

extension FixedWidthInteger where Self: JSONReadable {
    init?(_ value: JSONValue) {
        guard case .number(let digits) = value, let number = Self(digits) else { return nil }
        self = number
    }
}

extension Int: JSONReadable {}
extension Int32: JSONReadable {}

extension Optional: JSONReadable where Wrapped: JSONReadable {
    init?(_ value: JSONValue) {
        guard let wrapped = Wrapped(value) else { return nil }
        self = wrapped
    }
}

/// Reads one JSON object as Go's `encoding/json` does, whose word is what nsqd accepts.
///
/// `JSONDecoder` is stricter here (a string must be UTF-8) and laxer there (a byte order mark, a
/// comma too many), and does not say which of two equal names came last.
struct JSONObjectReader {
    typealias Member = (name: String, value: JSONValue)

    /// How deep Go reads, the object itself included.
    private static let deepest = 10_000

    private let bytes: Bytes
    private var offset = 0

    /// The members of the object that `text` is, in their order; `nil` if it is `null`.
    static func members(of text: Bytes) throws(JSONError) -> [Member]? {
        var reader = JSONObjectReader(bytes: text)
        let members = try reader.object()
        reader.skipSpace()
        guard reader.offset == text.count else { throw JSONError() }
        return members
    }

    private init(bytes: Bytes) {
        self.bytes = bytes
    }

    private mutating func object() throws(JSONError) -> [Member]? {
        guard take("{") else {
            try word("null")
            return nil
        }
        var members: [Member] = []
        if take("}") { return members }
        repeat {
            let name = try name()
            members.append((name, try value()))
        } while take(",")
        try expect("}")
        return members
    }

    private mutating func name() throws(JSONError) -> String {
        let name = try string()
        try expect(":")
        return name
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            try skipNested()
            return .nested
        default: return try scalar()
        }
    }

    private mutating func scalar() throws(JSONError) -> JSONValue {
        skipSpace()
        switch peek {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try word("null")
            return .null
        default: return .number(try number())
        }
    }

    /// Walks over an array or object without recursion: how deep it goes is the sender's choice.
    private mutating func skipNested() throws(JSONError) {
        var ends: [Unicode.Scalar] = []
        repeat {
            if let end = takeOpening() {
                ends.append(end)
                guard ends.count < Self.deepest else { throw JSONError() }
                if !take(end) {
                    if end == "}" { _ = try name() }
                    continue
                }
                ends.removeLast()
            } else {
                _ = try scalar()
            }
            while let end = ends.last {
                if take(",") {
                    if end == "}" { _ = try name() }
                    break
                }
                try expect(end)
                ends.removeLast()
            }
        } while !ends.isEmpty
    }

    /// - Returns: what closes it again.
    private mutating func takeOpening() -> Unicode.Scalar? {
        if take("[") { return "]" }
        return take("{") ? "}" : nil
    }

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
        guard offset > start else { throw JSONError() }
    }

    private mutating func string() throws(JSONError) -> String {
        try expect("\"")
        var text: [UInt8] = []
        while true {
            guard let byte = peek, byte >= 0x20 else { throw JSONError() }
            offset += 1
            switch byte {
            // Bytes that are no UTF-8 become U+FFFD.
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): text.append(contentsOf: UTF8.encode(try escaped())!)
            default: text.append(byte)
            }
        }
    }

    private mutating func escaped() throws(JSONError) -> Unicode.Scalar {
        guard let byte = peek else { throw JSONError() }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try scalarOfUnits()
        default: throw JSONError()
        }
    }

    /// The scalar of one `\u`, or of two that are a pair; half a pair is U+FFFD.
    private mutating func scalarOfUnits() throws(JSONError) -> Unicode.Scalar {
        let unit = try hexUnit()
        let behind = offset
        if UTF16.isLeadSurrogate(unit), accept("\\"), accept("u") {
            let trail = try hexUnit()
            if UTF16.isTrailSurrogate(trail) {
                return UTF16.decode(UTF16.EncodedScalar([unit, trail]))
            }
        }
        offset = behind
        return Unicode.Scalar(unit) ?? "\u{fffd}"
    }

    private mutating func hexUnit() throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw JSONError()
            }
            unit = unit << 4 | UInt16(digit)
            offset += 1
        }
        return unit
    }

    private mutating func word(_ word: StaticString) throws(JSONError) {
        let end = offset + word.utf8CodeUnitCount
        guard end <= bytes.count, bytes[offset..<end].elementsEqual(word.bytes) else {
            throw JSONError()
        }
        offset = end
    }

    private mutating func expect(_ scalar: Unicode.Scalar) throws(JSONError) {
        guard take(scalar) else { throw JSONError() }
    }

    /// Takes `scalar` if it is next, or next behind white space.
    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        return accept(scalar)
    }

    @discardableResult
    private mutating func accept(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: scalar) else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { offset += 1 }
    }

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }
}

extension RawRepresentable<String> {
    /// The field of this name in any case, and with the two letters that only Unicode folds into
    /// ASCII: nsqd finds its fields so.
    init?(jsonName name: String) {
        let folded = name.lowercased().unicodeScalars.map { $0 == "\u{17f}" ? "s" : Character($0) }
        self.init(rawValue: String(folded))
    }
}
