extension Play {
    /// Parses a message: a JSON object with a GUID `video_id`, an optional string `play_id`, and
    /// any other fields. A `play_id` that is empty or not a string is ignored, and so is a byte order
    /// mark before the object.
    ///
    /// Nearly every message has a common form, which ``init(scanning:)`` parses in a tenth of the
    /// time of the strict parser (the suite `Speed` measures both). The strict parser handles all
    /// other messages, and it alone decides whether a message is rejected.
    package init(
        parsing body: RawSpan, limits: PlayParsingLimits = PlayParsingLimits()
    ) throws(Rejection) {
        guard body.byteCount <= limits.bodyBytes else { throw .tooLarge }
        // Programs on Windows write a byte order mark. RFC 8259 allows parsers to ignore it.
        let hasMark = body.withUnsafeBytes { $0.hasByteOrderMark }
        let body = hasMark ? body.extracting(droppingFirst: 3) : body
        if let play = Play(scanning: body) {
            self = play
        } else {
            self = try Play(strictlyParsing: body, limits: limits)
        }
    }

    /// Parses the common form: one flat object in ASCII, without escapes, duplicate keys or
    /// fractions, and with at most eight fields besides `video_id` and `play_id`.
    ///
    /// - Returns: `nil` for any other form, which may still be a valid play.
    package init?(scanning body: RawSpan) {
        let play = body.withUnsafeBytes { bytes in
            var scanner = CommonFormScanner(bytes: bytes)
            return scanner.play()
        }
        guard let play else { return nil }
        self = play
    }
}

/// Scans a message in the common form. Each method returns `false` or `nil` if the message has
/// another form.
private struct CommonFormScanner {
    let bytes: UnsafeRawBufferPointer
    var position = 0
    var otherKeys = KeySet()

    mutating func play() -> Play? {
        var videoID: VideoID?
        var playID: PlayID?
        var hasPlayID = false

        guard skip(.openBrace) else { return nil }
        repeat {
            skipWhiteSpace()
            guard let key = text(), skip(.colon) else { return nil }
            skipWhiteSpace()
            if matches(key, "video_id") {
                guard videoID == nil, let id = guid() else { return nil }
                videoID = id
            } else if matches(key, "play_id") {
                guard !hasPlayID, let value = value() else { return nil }
                hasPlayID = true
                if case .text(let range) = value, !range.isEmpty {
                    playID = PlayID(UnsafeRawBufferPointer(rebasing: bytes[range]))
                }
            } else {
                guard otherKeys.insert(key, of: bytes), value() != nil else { return nil }
            }
        } while skip(.comma)
        guard skip(.closeBrace) else { return nil }
        skipWhiteSpace()
        guard position == bytes.count, let videoID else { return nil }
        return Play(of: videoID, playID: playID)
    }

    private mutating func skipWhiteSpace() {
        while position < bytes.count, bytes[position].isSpace { position += 1 }
    }

    /// Skips white space and then `byte`. Returns `false` if `byte` does not follow the white
    /// space.
    private mutating func skip(_ byte: UInt8) -> Bool {
        skipWhiteSpace()
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func guid() -> GUID? {
        let end = position + 1 + GUID.textBytes
        guard end < bytes.count, bytes[position] == .quote, bytes[end] == .quote else { return nil }
        defer { position = end + 1 }
        return GUID(text: UnsafeRawBufferPointer(rebasing: bytes[position + 1..<end]))
    }

    private enum Value {
        case text(Range<Int>)
        case other
    }

    private mutating func value() -> Value? {
        guard position < bytes.count else { return nil }
        switch bytes[position] {
        case .quote: return text().map(Value.text)
        case UInt8(ascii: "t"): return literal("true")
        case UInt8(ascii: "f"): return literal("false")
        case UInt8(ascii: "n"): return literal("null")
        default: return wholeNumber()
        }
    }

    private mutating func literal(_ text: StaticString) -> Value? {
        let end = position + text.utf8CodeUnitCount
        guard end <= bytes.count, matches(position..<end, text) else { return nil }
        position = end
        return .other
    }

    /// Scans an integer. If a fraction or an exponent follows, the next call of `skip` fails,
    /// because it expects a comma or a brace.
    private mutating func wholeNumber() -> Value? {
        if bytes[position] == .hyphen { position += 1 }
        let start = position
        while position < bytes.count, bytes[position].isDigit { position += 1 }
        let digits = position - start
        guard digits == 1 || digits > 1 && bytes[start] != .zero else { return nil }
        return .other
    }

    /// Scans a string of printable ASCII without escapes, and returns the range between its quotes.
    private mutating func text() -> Range<Int>? {
        guard position < bytes.count, bytes[position] == .quote else { return nil }
        let start = position + 1
        position = start
        while position + 8 <= bytes.count {
            let stop = unescapedPrefixLength(
                bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            position += stop
            if stop < 8 { break }
        }
        while position < bytes.count, bytes[position].isUnescapedASCII { position += 1 }
        guard position < bytes.count, bytes[position] == .quote else { return nil }
        position += 1
        return start..<position - 1
    }

    private func matches(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        return UnsafeBufferPointer(start: text.utf8Start, count: range.count)
            .elementsEqual(bytes[range])
    }
}

extension UInt8 {
    fileprivate var isUnescapedASCII: Bool {
        self >= .space && self < 0x80 && self != .quote && self != .backslash
    }
}

/// The number of bytes of an 8-byte word before the first quote, backslash, control character or
/// byte outside ASCII. `(x - 1) & ~x` sets the top bit of each zero byte. A borrow may also set the
/// top bit of a higher byte, but only the lowest set bit is used.
private func unescapedPrefixLength(_ word: UInt64) -> Int {
    let ones = 0x0101_0101_0101_0101 as UInt64
    let ascii = UInt64(littleEndian: word)
    let quotes = ascii ^ ones &* UInt64(UInt8.quote)
    let backslashes = ascii ^ ones &* UInt64(UInt8.backslash)
    let special =
        (quotes &- ones) & ~quotes | (backslashes &- ones) & ~backslashes
        | (ascii &- ones &* UInt64(UInt8.space)) & ~ascii | ascii
    return (special & ones << 7).trailingZeroBitCount / 8
}

/// The keys of a message other than `video_id` and `play_id`, to detect duplicates.
private struct KeySet {
    private var keys = InlineArray<8, Range<Int>>(repeating: 0..<0)
    private var count = 0

    /// Inserts a key. Returns `false` if the key is a duplicate, or if the set is full.
    mutating func insert(_ key: Range<Int>, of bytes: UnsafeRawBufferPointer) -> Bool {
        guard count < keys.count else { return false }
        for index in 0..<count where keys[index].count == key.count {
            if bytes[keys[index]].elementsEqual(bytes[key]) { return false }
        }
        keys[count] = key
        count += 1
        return true
    }
}
