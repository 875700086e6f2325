extension Play {
    /// Reads a message: a JSON object with a GUID `video_id`, perhaps a text `play_id`, and
    /// whatever other fields it likes. A `play_id` that is no text is such another field.
    ///
    /// Nearly every message has the common form, which a scan reads in a tenth of the time that
    /// the strict reader takes (`Speed` in the tests). All else, good or bad, is read strictly, so
    /// there is one place only that turns a message away.
    package init(
        reading body: RawSpan, within limits: PlayLimits = PlayLimits()
    ) throws(Rejection) {
        guard body.byteCount <= limits.bodyBytes else { throw .tooLarge }
        if let play = Play(scanning: body) {
            self = play
        } else {
            self = try Play(strictly: body, within: limits)
        }
    }

    /// Reads the common form: one flat object in ASCII, without escapes, with whole numbers only,
    /// with at most eight fields besides ours, and no key twice.
    ///
    /// - Returns: `nil` for any other form, which may still be a play.
    package init?(scanning body: RawSpan) {
        let play = body.withUnsafeBytes { bytes in
            var scan = CommonForm(bytes: bytes)
            return scan.play()
        }
        guard let play else { return nil }
        self = play
    }
}

/// A scan over a message in the common form. Each step answers `false` or `nil` where the form
/// ends; nothing is ever rejected here.
private struct CommonForm {
    let bytes: UnsafeRawBufferPointer
    var position = 0
    var others = SeenKeys()

    mutating func play() -> Play? {
        var videoID: VideoID?
        var playID: PlayID?
        var hasPlayID = false

        guard skip(.openBrace) else { return nil }
        repeat {
            skipSpace()
            guard let key = text(), skip(.colon) else { return nil }
            skipSpace()
            if matches(key, "video_id") {
                guard videoID == nil, let id = guid() else { return nil }
                videoID = id
            } else if matches(key, "play_id") {
                guard !hasPlayID, let value = value() else { return nil }
                hasPlayID = true
                if case .text(let range) = value {
                    playID = PlayID(UnsafeRawBufferPointer(rebasing: bytes[range]))
                }
            } else {
                guard others.insert(key, of: bytes), value() != nil else { return nil }
            }
        } while skip(.comma)
        guard skip(.closeBrace) else { return nil }
        skipSpace()
        guard position == bytes.count, let videoID else { return nil }
        return Play(of: videoID, playID: playID)
    }

    private mutating func skipSpace() {
        while position < bytes.count, bytes[position].isSpace { position += 1 }
    }

    /// Skips `byte` and any space before it, if that comes next.
    private mutating func skip(_ byte: UInt8) -> Bool {
        skipSpace()
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

    private mutating func literal(_ word: StaticString) -> Value? {
        let end = position + word.utf8CodeUnitCount
        guard end <= bytes.count, matches(position..<end, word) else { return nil }
        position = end
        return .other
    }

    /// A fraction or an exponent ends the common form: neither comma nor brace follows.
    private mutating func wholeNumber() -> Value? {
        if bytes[position] == .hyphen { position += 1 }
        let start = position
        while position < bytes.count, bytes[position].isDigit { position += 1 }
        let digits = position - start
        guard digits == 1 || digits > 1 && bytes[start] != .zero else { return nil }
        return .other
    }

    /// The range between the quotes of a text in printable ASCII without escapes.
    private mutating func text() -> Range<Int>? {
        guard position < bytes.count, bytes[position] == .quote else { return nil }
        let start = position + 1
        position = start
        while position + 8 <= bytes.count {
            let stop = firstSpecial(bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            position += stop
            if stop < 8 { break }
        }
        while position < bytes.count, bytes[position].isPlain { position += 1 }
        guard position < bytes.count, bytes[position] == .quote else { return nil }
        position += 1
        return start..<position - 1
    }

    private func matches(_ range: Range<Int>, _ word: StaticString) -> Bool {
        guard range.count == word.utf8CodeUnitCount else { return false }
        return UnsafeBufferPointer(start: word.utf8Start, count: range.count)
            .elementsEqual(bytes[range])
    }
}

extension UInt8 {
    fileprivate var isPlain: Bool {
        self >= .space && self < 0x80 && self != .quote && self != .backslash
    }
}

/// How many of eight bytes come before the first that is not plain text. `(x - 1) & ~x` has a
/// byte's top bit set if the byte is zero; a borrow may set it above such a byte too, but never
/// below, and only the lowest one counts.
private func firstSpecial(_ word: UInt64) -> Int {
    let ones = 0x0101_0101_0101_0101 as UInt64
    let ascii = UInt64(littleEndian: word)
    let quotes = ascii ^ ones &* UInt64(UInt8.quote)
    let backslashes = ascii ^ ones &* UInt64(UInt8.backslash)
    let special =
        (quotes &- ones) & ~quotes | (backslashes &- ones) & ~backslashes
        | (ascii &- ones &* UInt64(UInt8.space)) & ~ascii | ascii
    return (special & ones << 7).trailingZeroBitCount / 8
}

/// The keys of a message besides ours, to see that none comes twice.
private struct SeenKeys {
    private var keys = InlineArray<8, Range<Int>>(repeating: 0..<0)
    private var count = 0

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
