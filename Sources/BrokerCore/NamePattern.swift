/// A regular expression for names of topics and channels, looked for anywhere in them: one that is
/// to match the whole name says so with `^` and `$`.
///
/// Others choose the pattern, and clients the name. So all ways through the pattern are followed at
/// once (Thompson's construction, as in the RE2 that nsqd has): a match takes time in proportion to
/// both lengths, where Swift's `Regex` goes back and tries again, for minutes if the two are chosen
/// well.
struct NamePattern {
    let steps: [Step]

    /// One step of the way through; without another word, on to the next.
    enum Step: Equatable {
        case character(NameCharacters)
        case assertion(Assertion)
        /// Both ways.
        case fork(Int, Int)
        case jump(Int)
        case match
    }

    enum Assertion: Equatable {
        case start, end, wordEdge, noWordEdge
    }

    /// - Returns: `nil` if it is none, or one of a kind that is not known here.
    init?(_ text: String) {
        guard let steps = NamePatternParser.steps(of: text) else { return nil }
        self.steps = steps
    }

    func matches(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        var places: [Int] = []
        for offset in 0...bytes.count {
            var reached = Reached(steps: steps, bytes: bytes, offset: offset)
            for place in places { reached.visit(place) }
            // A match may begin anywhere.
            reached.visit(0)
            if reached.isMatch { return true }
            guard offset < bytes.count else { break }
            places = reached.places(behind: bytes[offset])
        }
        return false
    }
}

/// Where one can be in a pattern at one place of a name.
private struct Reached {
    let steps: [NamePattern.Step]
    let bytes: [UInt8]
    let offset: Int
    private var seen: [Bool]
    private var consuming: [Int] = []
    private(set) var isMatch = false

    init(steps: [NamePattern.Step], bytes: [UInt8], offset: Int) {
        self.steps = steps
        self.bytes = bytes
        self.offset = offset
        seen = Array(repeating: false, count: steps.count)
    }

    /// Follows all that leads on from `place` without a character.
    mutating func visit(_ place: Int) {
        var ways = [place]
        while let way = ways.popLast() {
            guard !seen[way] else { continue }
            seen[way] = true
            switch steps[way] {
            case .character: consuming.append(way)
            case .assertion(let assertion): if holds(assertion) { ways.append(way + 1) }
            case .fork(let one, let other): ways += [one, other]
            case .jump(let target): ways.append(target)
            case .match: isMatch = true
            }
        }
    }

    /// Where the next character leads.
    func places(behind byte: UInt8) -> [Int] {
        consuming.compactMap { place in
            guard case .character(let set) = steps[place], set.contains(byte) else { return nil }
            return place + 1
        }
    }

    private func holds(_ assertion: NamePattern.Assertion) -> Bool {
        switch assertion {
        case .start: offset == 0
        case .end: offset == bytes.count
        case .wordEdge: isWordEdge
        case .noWordEdge: !isWordEdge
        }
    }

    private var isWordEdge: Bool {
        let before = offset > 0 && NameCharacters.word.contains(bytes[offset - 1])
        let behind = offset < bytes.count && NameCharacters.word.contains(bytes[offset])
        return before != behind
    }
}

/// A set of the 128 characters that names can be made of.
struct NameCharacters: Equatable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    static let digit = NameCharacters("0"..."9")
    static let word = NameCharacters("0"..."9", "A"..."Z", "a"..."z", "_"..."_")
    static let space = NameCharacters("\t"..."\n", "\u{c}"..."\r", " "..." ")
    /// All but the newline, as `.` has it.
    static let any = NameCharacters("\n"..."\n").inverted

    init(_ ranges: ClosedRange<Unicode.Scalar>...) {
        for range in ranges { insert(range) }
    }

    /// What lies beyond ASCII is in no name.
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

    /// With the other case of each letter.
    var inAnyCase: NameCharacters {
        let letters: UInt64 = 0x07ff_fffe
        var all = self
        all.high |= (high & letters) << 32 | high >> 32 & letters
        return all
    }
}
