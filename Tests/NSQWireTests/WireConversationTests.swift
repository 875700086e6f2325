import TestKit
import Testing

@Suite struct `A conversation file` {
    @Test func `is parsed step by step`() throws {
        let conversation = try WireConversation(
            name: "example",
            parsing: #"""
                # A story,
                # on two lines.
                recorded: nsqd 1.3.0
                flags: --a=1 --b=2
                auth: {"ttl":1}

                > "  V2"
                # Somebody else:
                reader> bytewise "\x00\n\"'"*2 00ff int32:-1
                > end
                wait 250ms
                reader< message time:1 attempts:258 id:1 'a"b\'c'
                < error "E_" any " x"
                < nothing
                < close

                """#)
        #expect(conversation.story == "A story, on two lines.")
        #expect(conversation.recordedFrom == "nsqd 1.3.0")
        #expect(conversation.flags == ["--a=1", "--b=2"])
        #expect(conversation.authServerAnswer == #"{"ttl":1}"#)
        #expect(conversation.clients == ["", "reader"])
        #expect(conversation.steps.map(\.line) == [7, 9, 10, 11, 12, 13, 14, 15])
        let odd: [UInt8] = [0, 10, 34, 39, 0, 10, 34, 39, 0, 255, 255, 255, 255, 255]
        #expect(
            conversation.steps.map(\.action) == [
                .send(WireText([.bytes(Array("  V2".utf8))])),
                .sendByteByByte(WireText([.bytes(odd)])),
                .end,
                .wait(.milliseconds(250)),
                .expect(
                    .message,
                    WireText([.time(1), .bytes([1, 2]), .id(1), .bytes(Array("a\"b'c".utf8))])),
                .expect(
                    .error,
                    WireText([.bytes(Array("E_".utf8)), .anything, .bytes(Array(" x".utf8))])),
                .expectNothing,
                .expectClose,
            ])
    }

    @Test(arguments: [
        "> \"a", "> 0", "> zz", "> int32:x", "> what:1", "< answer \"OK\"", "> \"\\xg0\"", "huh",
        "wait a bit", "> \"a\"*x",
    ])
    func `is rejected with the line that cannot be parsed`(line: String) {
        let error = #expect(throws: WireConversationError.self) {
            try WireConversation(name: "bad", parsing: "recorded: here\n\n> end\n\(line)\n")
        }
        #expect(error?.line == 4)
    }

    @Test func `must name its recording`() {
        #expect(throws: WireConversationError.self) {
            try WireConversation(name: "bad", parsing: "# A story.\n\n> end\n")
        }
    }
}

@Suite struct `A text with placeholders` {
    let one = Array("0123456789abcdef".utf8)
    let two = Array("0123456789abcdee".utf8)

    @Test func `matches the same ID again and distinguishes others`() {
        let text = WireText([.bytes([1]), .id(1)])
        var met = WireText.Met()
        #expect(text.matches([1] + one, met: &met))
        #expect(text.matches([1] + one, met: &met))
        #expect(!text.matches([1] + two, met: &met))
        #expect(!WireText([.id(2)]).matches(one, met: &met))
        #expect(WireText([.id(2)]).matches(two, met: &met))
        #expect(text.bytes(after: met) == [1] + one)
    }

    @Test func `stores no values of a text that does not match`() {
        let text = WireText([.id(1), .bytes([1])])
        var met = WireText.Met()
        #expect(!text.matches(one + [2], met: &met))
        #expect(text.matches(two + [1], met: &met))
    }

    @Test func `matches any bytes or none with the placeholder for anything`() {
        let text = WireText([.bytes([1]), .anything, .bytes([2, 3]), .anything, .bytes([4])])
        var met = WireText.Met()
        for bytes: [UInt8] in [[1, 2, 3, 4], [1, 2, 3, 2, 3, 4, 4], [1, 9, 2, 3, 9, 4]] {
            #expect(text.matches(bytes, met: &met))
        }
        for bytes: [UInt8] in [[], [1, 2, 4], [1, 2, 3, 4, 5], [2, 2, 3, 4]] {
            #expect(!text.matches(bytes, met: &met))
        }
    }

    @Test func `invents IDs and times that no text has supplied`() {
        #expect(WireText([.id(31)]).bytes() == Array("000000000000001f".utf8))
        #expect(WireText([.time(258)]).bytes() == [0, 0, 0, 0, 0, 0, 1, 2])
    }
}
