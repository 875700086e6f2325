import NSQWire
import TestKit
import Testing

@Suite struct `A name` {
    @Test(arguments: [
        "a", "Z", "0", ".", "...", "-_", "plays", "a#ephemeral", ".#ephemeral",
        String(repeating: "t", count: 64), String(repeating: "t", count: 54) + "#ephemeral",
    ])
    func `has 1 to 64 letters, digits, dots, underscores and hyphens`(text: String) throws {
        #expect(try #require(TopicName(text)).text == text)
        #expect(try #require(ChannelName(text)).description == text)
    }

    @Test(arguments: [
        "", "#ephemeral", "a#ephemeral#ephemeral", "a#Ephemeral", "a#", "#", "a b", "a/b", "a\n",
        "ä", "a\u{301}", "١", String(repeating: "t", count: 65),
        String(repeating: "t", count: 55) + "#ephemeral", "a#ephemeralx", "x ephemeral",
    ])
    func `is rejected with any other bytes or length`(text: String) {
        #expect(TopicName(text) == nil)
        #expect(ChannelName(text) == nil)
    }

    @Test func `is rejected if it is not valid UTF-8`() {
        #expect([0x61, 0xff].withUnsafeBytes { TopicName(bytes: $0) } == nil)
        #expect([0xc3, 0xa4].withUnsafeBytes { ChannelName(bytes: $0) } == nil)
    }

    @Test func `is ephemeral by its suffix`() {
        #expect(topic("plays#ephemeral").isEphemeral)
        #expect(!topic("plays").isEphemeral)
        #expect(!channel("ephemeral").isEphemeral)
    }

    @Test func `sorts by its text`() {
        #expect(["b", "a", "B", "a.b"].map(topic).sorted().map(\.text) == ["B", "a", "a.b", "b"])
    }

    @Test func `matches the regular expression of the rule`() throws {
        let rule = try Regex("[.a-zA-Z0-9_-]+(#ephemeral)?").matchingSemantics(.unicodeScalar)
        var random = SeededGenerator()
        let parts = [
            "a", "Z", "7", ".", "_", "-", "#", "#ephemeral", "#ephemera", "ephemeral", " ", "\n",
            "\0", "/", "é", "\u{301}", "\u{ff}", "plays", String(repeating: "x", count: 27),
        ]
        for _ in 0..<5_000 {
            let text = (0..<Int.random(in: 0...6, using: &random))
                .map { _ in parts.randomElement(using: &random)! }.joined()
            let isAllowed = (1...64).contains(text.utf8.count) && text.wholeMatch(of: rule) != nil
            #expect(
                NameSyntax.allows(Array(text.utf8)) == isAllowed,
                "\(text.debugDescription), \(random.repetition(of: "NameTests"))")
        }
    }
}
