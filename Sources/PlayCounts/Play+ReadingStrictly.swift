extension Play {
    /// Reads any message by the letter of RFC 8259, and of what that leaves open takes the strict
    /// side: an object that names a key twice is refused (which of the two would count?), and so
    /// is half a surrogate pair, which is no text in any encoding.
    package init(
        strictly body: RawSpan, within limits: PlayLimits = PlayLimits()
    ) throws(Rejection) {
        guard body.byteCount <= limits.bodyBytes else { throw .tooLarge }
        let bytes = body.withUnsafeBytes { Array($0) }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw .invalidUTF8 }
        var reader = StrictReader(bytes: bytes, depthLimit: limits.depth)
        guard case .object(let fields) = try reader.document() else { throw .notAnObject }
        guard let video = fields[Array("video_id".utf8)] else { throw .noVideoID }
        guard case .text(let text) = video, let id = text.withUnsafeBytes({ GUID(text: $0) }) else {
            throw .badVideoID
        }
        self.init(of: id, playID: nil)
        if case .text(let text) = fields[Array("play_id".utf8)] {
            self.init(of: id, playID: text.withUnsafeBytes { PlayID($0) })
        }
    }
}

/// Reads JSON by recursive descent. Texts are bytes, not `String`s, for those are equal when
/// their characters look the same, and JSON's keys are equal when their code points are.
private struct StrictReader {
    enum Value {
        case object([[UInt8]: Value])
        case text([UInt8])
        case other
    }

    let bytes: [UInt8]
    let depthLimit: Int
    var position = 0

    init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    mutating func document() throws(Rejection) -> Value {
        let value = try value(depth: 1)
        guard peek == nil else { throw .notJSON }
        return value
    }

    /// The next byte that is not space.
    private var peek: UInt8? {
        mutating get {
            while position < bytes.count, bytes[position].isSpace { position += 1 }
            return position < bytes.count ? bytes[position] : nil
        }
    }

    /// The next byte, whatever it is.
    private mutating func next() throws(Rejection) -> UInt8 {
        guard position < bytes.count else { throw .notJSON }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func value(depth: Int) throws(Rejection) -> Value {
        switch peek {
        case .openBrace: return .object(try object(depth: depth))
        case .openBracket: try array(depth: depth)
        case .quote: return .text(try text())
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try number()
        }
        return .other
    }

    private mutating func object(depth: Int) throws(Rejection) -> [[UInt8]: Value] {
        guard depth <= depthLimit else { throw .tooDeep }
        var fields: [[UInt8]: Value] = [:]
        position += 1
        guard !skip(.closeBrace) else { return fields }
        repeat {
            guard peek == .quote else { throw .notJSON }
            let key = try text()
            guard skip(.colon) else { throw .notJSON }
            let value = try value(depth: depth + 1)
            guard fields.updateValue(value, forKey: key) == nil else { throw .duplicateKeys }
        } while skip(.comma)
        guard skip(.closeBrace) else { throw .notJSON }
        return fields
    }

    private mutating func array(depth: Int) throws(Rejection) {
        guard depth <= depthLimit else { throw .tooDeep }
        position += 1
        guard !skip(.closeBracket) else { return }
        repeat { _ = try value(depth: depth + 1) } while skip(.comma)
        guard skip(.closeBracket) else { throw .notJSON }
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private mutating func literal(_ word: StaticString) throws(Rejection) {
        for offset in 0..<word.utf8CodeUnitCount {
            guard try next() == word.utf8Start[offset] else { throw .notJSON }
        }
    }

    /// `-? (0 | [1-9][0-9]*) (\.[0-9]+)? ([eE][+-]?[0-9]+)?`
    private mutating func number() throws(Rejection) {
        _ = skipDirectly { $0 == .hyphen }
        if !skipDirectly({ $0 == .zero }) { try digits() }
        if skipDirectly({ $0 == UInt8(ascii: ".") }) { try digits() }
        if skipDirectly({ $0 | 0x20 == UInt8(ascii: "e") }) {
            _ = skipDirectly { $0 == UInt8(ascii: "+") || $0 == .hyphen }
            try digits()
        }
    }

    private mutating func digits() throws(Rejection) {
        guard try next().isDigit else { throw .notJSON }
        while skipDirectly(\.isDigit) {}
    }

    private mutating func skipDirectly(_ isWanted: (UInt8) -> Bool) -> Bool {
        guard position < bytes.count, isWanted(bytes[position]) else { return false }
        position += 1
        return true
    }

    private mutating func text() throws(Rejection) -> [UInt8] {
        var text: [UInt8] = []
        position += 1
        while true {
            switch try next() {
            case .quote: return text
            case .backslash: try escape(into: &text)
            case let byte where byte < .space: throw .notJSON
            case let byte: text.append(byte)
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(Rejection) {
        switch try next() {
        case .quote: text.append(.quote)
        case .backslash: text.append(.backslash)
        case UInt8(ascii: "/"): text.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(.newline)
        case UInt8(ascii: "r"): text.append(.carriageReturn)
        case UInt8(ascii: "t"): text.append(.tab)
        case UInt8(ascii: "u"):
            let scalar = try unicodeScalar()
            text.append(contentsOf: UTF8.encode(scalar)!)
        default: throw .notJSON
        }
    }

    private mutating func unicodeScalar() throws(Rejection) -> Unicode.Scalar {
        let unit = try fourDigits()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard UTF16.isLeadSurrogate(unit) else { throw .invalidUTF8 }
        guard position < bytes.count, bytes[position] == .backslash else { throw .invalidUTF8 }
        position += 1
        guard try next() == UInt8(ascii: "u") else { throw .invalidUTF8 }
        let trail = try fourDigits()
        guard UTF16.isTrailSurrogate(trail) else { throw .invalidUTF8 }
        return UTF16.decode(UTF16.EncodedScalar([unit, trail]))
    }

    private mutating func fourDigits() throws(Rejection) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(try next())).hexDigitValue else {
                throw .notJSON
            }
            unit = unit << 4 | UInt16(digit)
        }
        return unit
    }
}
