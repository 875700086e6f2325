/// A parser for the part of Go's regular expression syntax that is useful for names. Named groups
/// and Unicode classes are refused.
struct NamePatternParser {
    private typealias Step = NamePattern.Step

    private var rest: Substring.UnicodeScalarView
    private var ignoresCase = false
    private var depth = 0

    // Bounds for the memory and stack of a parse. They are needed because the authorization server
    // chooses the pattern.
    private static let maxSteps = 5_000
    private static let maxDepth = 100
    /// The largest repetition count; Go has the same bound.
    private static let maxRepetition = 1_000

    private struct Malformed: Error {}

    static func steps(of text: String) -> [NamePattern.Step]? {
        var parser = NamePatternParser(rest: text[...].unicodeScalars)
        guard let steps = try? parser.alternatives(), parser.rest.isEmpty else { return nil }
        return steps + [.match]
    }

    private init(rest: Substring.UnicodeScalarView) { self.rest = rest }

    // MARK: Structure. Forks and jumps refer to steps by their index in the enclosing array.

    private mutating func alternatives() throws(Malformed) -> [Step] {
        depth += 1
        guard depth <= Self.maxDepth else { throw Malformed() }
        defer { depth -= 1 }
        let outer = ignoresCase
        defer { ignoresCase = outer }
        var all = try sequence()
        while skip("|") { all = try Self.either(all, sequence()) }
        return all
    }

    private mutating func sequence() throws(Malformed) -> [Step] {
        var all: [Step] = []
        while let next = rest.first, next != "|", next != ")" {
            let one = try repeated(atom())
            all = try Self.joined(all, one)
        }
        return all
    }

    private static func shifted(_ steps: [Step], by distance: Int) -> [Step] {
        steps.map { step in
            switch step {
            case .fork(let one, let other): .fork(one + distance, other + distance)
            case .jump(let target): .jump(target + distance)
            default: step
            }
        }
    }

    private static func joined(_ one: [Step], _ other: [Step]) throws(Malformed) -> [Step] {
        guard one.count + other.count <= maxSteps else { throw Malformed() }
        return one + shifted(other, by: one.count)
    }

    private static func either(_ one: [Step], _ other: [Step]) throws(Malformed) -> [Step] {
        let start: [Step] = [.fork(1, one.count + 2)]
        let first = try joined(start, one) + [.jump(one.count + other.count + 2)]
        return try joined(first, other)
    }

    private static func optional(_ steps: [Step]) -> [Step] {
        [.fork(1, steps.count + 1)] + shifted(steps, by: 1)
    }

    private static func anyNumber(of steps: [Step]) -> [Step] {
        optional(steps + [.jump(-1)])
    }

    // MARK: Repetition

    private mutating func repeated(_ atom: [Step]) throws(Malformed) -> [Step] {
        guard let bounds = try repetition() else { return atom }
        // Lazy and greedy repetitions match the same names, so both are parsed as greedy repetitions.
        _ = skip("?")
        guard try repetition() == nil else { throw Malformed() }
        var all: [Step] = []
        for _ in 0..<bounds.least { all = try Self.joined(all, atom) }
        guard let most = bounds.most else {
            return try Self.joined(all, Self.anyNumber(of: atom))
        }
        var rest: [Step] = []
        for _ in bounds.least..<most { rest = Self.optional(try Self.joined(atom, rest)) }
        return try Self.joined(all, rest)
    }

    private mutating func repetition() throws(Malformed) -> (least: Int, most: Int?)? {
        if skip("*") { return (0, nil) }
        if skip("+") { return (1, nil) }
        if skip("?") { return (0, 1) }
        let before = rest
        guard skip("{") else { return nil }
        guard let least = number() else {
            // As in Go, a brace without a number is a literal brace.
            rest = before
            return nil
        }
        var most: Int? = least
        if skip(",") { most = number() }
        guard skip("}") else {
            rest = before
            return nil
        }
        guard max(least, most ?? 0) <= Self.maxRepetition, least <= most ?? least else {
            throw Malformed()
        }
        return (least, most)
    }

    private mutating func number() -> Int? {
        let digits = rest.prefix { ("0"..."9").contains($0) }
        rest = rest.dropFirst(digits.count)
        return Int(String(digits))
    }

    // MARK: Atoms

    private mutating func atom() throws(Malformed) -> [Step] {
        switch rest.removeFirst() {
        case "(": return try group()
        case "[": return [.character(folded(try characterClass()))]
        case ".": return [.character(.any)]
        case "^": return [.assertion(.start)]
        case "$": return [.assertion(.end)]
        case "*", "+", "?": throw Malformed()
        case "\\": return [try escape()]
        case let literal: return [.character(folded(NameCharacters(literal...literal)))]
        }
    }

    private func folded(_ set: NameCharacters) -> NameCharacters {
        ignoresCase ? set.inAnyCase : set
    }

    private mutating func group() throws(Malformed) -> [Step] {
        let outer = ignoresCase
        if skip("?") {
            ignoresCase = try flags()
            // Flags without their own group, as in `(?i)`, apply until the enclosing group ends.
            if skip(")") { return [] }
            guard skip(":") else { throw Malformed() }
        }
        let inner = try alternatives()
        ignoresCase = outer
        guard skip(")") else { throw Malformed() }
        return inner
    }

    /// Parses the flags of a group.
    ///
    /// Only `i` has an effect. The other flags concern line breaks, which names do not contain, or
    /// greediness, which does not change whether a name matches.
    ///
    /// - Returns: `true` if the flags make the group case-insensitive.
    private mutating func flags() throws(Malformed) -> Bool {
        var ignoresCase = ignoresCase
        var isOn = true
        while let flag = rest.first, flag != ":", flag != ")" {
            rest.removeFirst()
            switch flag {
            case "-": isOn = false
            case "i": ignoresCase = isOn
            case "m", "s", "U": break
            default: throw Malformed()
            }
        }
        return ignoresCase
    }

    private mutating func escape() throws(Malformed) -> Step {
        let assertion: NamePattern.Assertion? =
            switch rest.first {
            case "A": .start
            case "z": .end
            case "b": .wordEdge
            case "B": .noWordEdge
            default: nil
            }
        guard let assertion else { return .character(folded(try escapedSet())) }
        rest.removeFirst()
        return .assertion(assertion)
    }

    /// Parses an escape sequence that denotes a set of characters, after its backslash. Character
    /// classes accept the same sequences.
    private mutating func escapedSet() throws(Malformed) -> NameCharacters {
        guard let letter = rest.popFirst() else { throw Malformed() }
        switch letter {
        case "d": return .digit
        case "D": return .digit.inverted
        case "w": return .word
        case "W": return .word.inverted
        case "s": return .space
        case "S": return .space.inverted
        // Go refuses other letters and digits after a backslash.
        case "a"..."z", "A"..."Z", "0"..."9": throw Malformed()
        default: return NameCharacters(letter...letter)
        }
    }

    // MARK: Classes

    private mutating func characterClass() throws(Malformed) -> NameCharacters {
        let isInverted = skip("^")
        var set = NameCharacters()
        var isFirst = true
        while isFirst || rest.first != "]" {
            isFirst = false
            set.formUnion(try classMember())
        }
        rest.removeFirst()
        return isInverted ? folded(set).inverted : set
    }

    private mutating func classMember() throws(Malformed) -> NameCharacters {
        guard let first = rest.popFirst(), !(first == "[" && rest.first == ":") else {
            throw Malformed()
        }
        if first == "\\", let letter = rest.first, "dDwWsS".unicodeScalars.contains(letter) {
            return try escapedSet()
        }
        let low = try literal(first)
        guard rest.first == "-", let behind = rest.dropFirst().first, behind != "]" else {
            return NameCharacters(low...low)
        }
        rest.removeFirst(2)
        let high = try literal(behind)
        guard low <= high else { throw Malformed() }
        return NameCharacters(low...high)
    }

    private mutating func literal(_ scalar: Unicode.Scalar) throws(Malformed) -> Unicode.Scalar {
        guard scalar == "\\" else { return scalar }
        guard let escaped = rest.popFirst(), !escaped.properties.isAlphabetic,
            !("0"..."9").contains(escaped)
        else { throw Malformed() }
        return escaped
    }

    /// Consumes `scalar` if it is the next character.
    ///
    /// - Returns: `true` if `scalar` was consumed.
    private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }
}
