/// A regular expression for names of topics and channels. The pattern can match any part of a name;
/// `^` and `$` match the start and the end of the name.
///
/// The pattern comes from an authorization server, and the name from a client. The matcher therefore
/// follows all paths through the pattern in parallel (Thompson's construction, as in nsqd's RE2). The
/// time of a match is proportional to the length of the pattern times the length of the name. Swift's
/// `Regex` backtracks, which can take minutes.
struct NamePattern {
    let steps: [Step]

    /// One instruction of a compiled pattern. After each instruction except `fork`, `jump` and
    /// `match`, the matcher continues with the next instruction.
    enum Step: Equatable {
        case character(NameCharacters)
        case assertion(Assertion)
        /// Continues at both of the instructions with these indexes. One matching path is sufficient.
        case fork(Int, Int)
        case jump(Int)
        case match
    }

    enum Assertion: Equatable {
        case start, end, wordEdge, noWordEdge
    }

    /// Parses a pattern. The result is `nil` if the pattern is invalid or uses unsupported syntax.
    init?(_ text: String) {
        guard let steps = NamePatternParser.steps(of: text) else { return nil }
        self.steps = steps
    }

    /// Returns `true` if the pattern matches any part of the name.
    func matches(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        var places: [Int] = []
        for offset in 0...bytes.count {
            var reached = Reached(steps: steps, bytes: bytes, offset: offset)
            for place in places { reached.visit(place) }
            // A match can start at every offset.
            reached.visit(0)
            if reached.isMatch { return true }
            guard offset < bytes.count else { break }
            places = reached.places(behind: bytes[offset])
        }
        return false
    }
}

/// The steps of a pattern that the matcher can reach at one byte offset of a name.
private struct Reached {
    let steps: [NamePattern.Step]
    let bytes: [UInt8]
    let offset: Int
    private var seen: [Bool]
    private var consuming: [Int] = []
    /// `true` if the matcher has reached the end of the pattern.
    private(set) var isMatch = false

    init(steps: [NamePattern.Step], bytes: [UInt8], offset: Int) {
        self.steps = steps
        self.bytes = bytes
        self.offset = offset
        seen = Array(repeating: false, count: steps.count)
    }

    /// Marks the step with the index `place` as reached, and all steps that the matcher reaches from
    /// there without consuming a character.
    mutating func visit(_ place: Int) {
        var pending = [place]
        while let step = pending.popLast() {
            guard !seen[step] else { continue }
            seen[step] = true
            switch steps[step] {
            case .character: consuming.append(step)
            case .assertion(let assertion): if holds(assertion) { pending.append(step + 1) }
            case .fork(let one, let other): pending += [one, other]
            case .jump(let target): pending.append(target)
            case .match: isMatch = true
            }
        }
    }

    /// The steps that follow the reached steps once `byte` is consumed.
    func places(behind byte: UInt8) -> [Int] {
        consuming.compactMap { place in
            guard case .character(let set) = steps[place], set.contains(byte) else { return nil }
            return place + 1
        }
    }

    /// Returns `true` if the assertion holds at the offset.
    private func holds(_ assertion: NamePattern.Assertion) -> Bool {
        switch assertion {
        case .start: offset == 0
        case .end: offset == bytes.count
        case .wordEdge: isWordEdge
        case .noWordEdge: !isWordEdge
        }
    }

    /// `true` if exactly one of the characters before and after the offset is a word character.
    private var isWordEdge: Bool {
        let before = offset > 0 && NameCharacters.word.contains(bytes[offset - 1])
        let behind = offset < bytes.count && NameCharacters.word.contains(bytes[offset])
        return before != behind
    }
}

/// A set of ASCII characters.
struct NameCharacters: Equatable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    static let digit = NameCharacters("0"..."9")
    static let word = NameCharacters("0"..."9", "A"..."Z", "a"..."z", "_"..."_")
    static let space = NameCharacters("\t"..."\n", "\u{c}"..."\r", " "..." ")
    /// All ASCII characters except the newline: the set of `.`.
    static let any = NameCharacters("\n"..."\n").inverted

    init(_ ranges: ClosedRange<Unicode.Scalar>...) {
        for range in ranges { insert(range) }
    }

    /// Inserts the ASCII characters of a range. Other characters are ignored, because they do not
    /// occur in names.
    mutating func insert(_ range: ClosedRange<Unicode.Scalar>) {
        guard range.lowerBound.value < 128 else { return }
        for value in range.lowerBound.value...min(127, range.upperBound.value) {
            if value < 64 { low |= 1 << UInt64(value) } else { high |= 1 << UInt64(value - 64) }
        }
    }

    func contains(_ byte: UInt8) -> Bool {
        byte < 64 ? low >> UInt64(byte) & 1 == 1 : byte < 128 && high >> UInt64(byte - 64) & 1 == 1
    }

    mutating func formUnion(_ other: NameCharacters) {
        low |= other.low
        high |= other.high
    }

    var inverted: NameCharacters {
        var inverted = self
        inverted.low = ~low
        inverted.high = ~high
        return inverted
    }

    /// The characters of this set, and the other case of each letter in this set.
    var inAnyCase: NameCharacters {
        let letters: UInt64 = 0x07ff_fffe
        var all = self
        all.high |= (high & letters) << 32 | high >> 32 & letters
        return all
    }
}
