import TestKit
import Testing

@testable import BrokerCore

/// Go, “regexp/syntax”.
@Suite struct `A name pattern` {
    @Test(arguments: [
        ("", "", true), ("", "a", true), ("a", "", false), ("b", "abc", true), ("^b", "abc", false),
        ("b$", "abc", false), ("^abc$", "abc", true), ("^a.c$", "abc", true),
        ("a|b|c", "xcx", true),
        ("^(a|bc)*$", "abcbca", true), ("^(a|bc)*$", "abcb", false), ("^a+$", "", false),
        ("^a?b$", "b", true), ("^a{2,3}$", "a", false), ("^a{2,3}$", "aaa", true),
        ("^a{2,3}$", "aaaa", false), ("^a{2,}$", "aaaaaa", true), ("^a{0}$", "", true),
        ("^a{,2}$", "a{,2}", true), ("^[a-c]+$", "abcabc", true), ("^[^a-c]+$", "xyz", true),
        ("^[^a-c]+$", "xaz", false), ("^[]a]+$", "]a", true), ("^[a-]+$", "a-", true),
        (#"^[\d.]+$"#, "4.2", true), (#"^\w+$"#, "a_Z9", true), (#"^\w+$"#, "a-b", false),
        (#"^a\.b$"#, "a.b", true), (#"^a\.b$"#, "axb", false), (#"\bplays\b"#, "my.plays.2", true),
        (#"\bplays\b"#, "displays", false), ("(?i)^Plays$", "pLAYS", true),
        ("^(?i:p)lays$", "Plays", true), ("^(?i:p)lays$", "PLAYS", false),
        ("^((?i)p)lays$", "PLAYS", false), ("^(?:ab){2}$", "abab", true), ("^a*?b$", "aab", true),
        (#"^\Aa\z$"#, "a", true), ("^.*#ephemeral$", "plays#ephemeral", true), ("()", "x", true),
        ("a||b", "x", true), ("^(a*)*$", "aaa", true), ("^(a*)*$", "b", false),
        ("x{1,2", "x{1,2", true),
    ])
    func `matches the same names as in Go`(pattern: String, name: String, isMatch: Bool) throws {
        let pattern = try #require(NamePattern(pattern))
        #expect(pattern.matches(name) == isMatch)
    }

    @Test(arguments: [
        "(", ")", "a)", "(a", "[", "[a", "[]", "[b-a]", "*", "a**", "a|*", "+a", "a{2,1}",
        "a{1001}",
        #"a\"#, #"\8"#, #"\pL"#, "(?", "(?x)a", "(?P<n>a)", "[[:alpha:]]", "(a{1000}){1000}",
    ])
    func `is invalid if it cannot be parsed completely`(pattern: String) {
        #expect(NamePattern(pattern) == nil)
    }

    @Test func `has a bounded nesting depth`() {
        let deep = String(repeating: "(", count: 50_000) + String(repeating: ")", count: 50_000)
        #expect(NamePattern(deep) == nil)
    }

    @Test func `matches in linear time for any pattern`() throws {
        let name = String(repeating: "a", count: 63) + "b"
        for pattern in ["^(a+)+$", "^(a|a)*$", "^(a*)*c", "(a|aa)+$", "(.*)*(.*)*(.*)*x"] {
            #expect(try !#require(NamePattern(pattern)).matches(name))
        }
    }

    @Test func `matches the same names as Swift's Regex`() throws {
        var generator = SeededGenerator()
        for _ in 0..<1500 {
            let text = randomPattern(depth: 3, &generator)
            let pattern = try #require(NamePattern(text), "\(text)")
            let regex = try Regex(text)
            for _ in 0..<4 {
                let name = String(
                    (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                        "abc".randomElement(using: &generator)!
                    })
                #expect(pattern.matches(name) == name.contains(regex), "\(text) in \(name)")
            }
        }
    }

    private func randomPattern(depth: Int, _ generator: inout SeededGenerator) -> String {
        func part() -> String { randomPattern(depth: depth - 1, &generator) }
        switch Int.random(in: depth > 0 ? 0...9 : 0...3, using: &generator) {
        case 0: return "a"
        case 1: return "b"
        case 2: return "[^a]"
        case 3: return ["^", "$", ".", "c"].randomElement(using: &generator)!
        case 4: return "(?:\(part())|\(part()))"
        case 5: return "(?:\(part()))*"
        case 6: return "(?:\(part()))?"
        case 7: return "(?:\(part())){1,2}"
        default: return part() + part()
        }
    }
}
