import NSQWire
import Testing

@testable import NSQBroker

@Suite struct `A conversation with an nsqlookupd` {
    private var conversation = LookupConversation(
        as: LookupIdentity(
            version: "1.3.0", tcpPort: 4150, httpPort: 4151, hostname: "h", broadcastAddress: "b"))
    private let plays = TopicName("plays")!

    private func frame(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(text.utf8.count))
        return bytes + Array(text.utf8)
    }

    private mutating func take(_ answer: String) throws -> [LookupConversation.Outcome] {
        try conversation.receive(frame(answer)) { [.register(plays)] }
    }

    private mutating func identify() throws {
        _ = conversation.next()
        _ = try take(#"{"http_port":4161,"broadcast_address":"l"}"#)
    }

    private mutating func nextText() -> String? {
        conversation.next().map { String(decoding: $0, as: UTF8.self) }
    }

    @Test mutating func `begins with who we are, as nsqd spells it`() {
        let json =
            #"{"broadcast_address":"b","hostname":"h","http_port":4151,"tcp_port":4150,"#
            + #""version":"1.3.0"}"#
        #expect(nextText() == "  V1IDENTIFY\n\0\0\0\u{5b}" + json)
        #expect(json.utf8.count == 0x5b)
        #expect(conversation.next() == nil, "before the answer there is nothing more to say")
    }

    @Test mutating func `goes on with all there is, and then with changes, one at a time`() throws {
        _ = conversation.next()
        try conversation.say(.register(TopicName("early")!))
        let outcomes = try take(#"{"http_port":4161,"broadcast_address":"l","other":[1]}"#)
        guard case .identified(let answer)? = outcomes.first else {
            Issue.record("not identified")
            return
        }
        #expect(answer.httpPort == 4161)
        #expect(answer.broadcastAddress == "l")
        try conversation.say(.register(plays, ChannelName("count")!))
        #expect(nextText() == "REGISTER plays\n", "what came early is in what there is")
        #expect(conversation.next() == nil)
        #expect(try take("OK") == [])
        #expect(nextText() == "REGISTER plays count\n")
    }

    @Test mutating func `reads answers that come in pieces`() throws {
        _ = conversation.next()
        for byte in frame("{}").dropLast() {
            #expect(try conversation.receive([byte]) { [] } == [])
        }
        #expect(try conversation.receive([UInt8(ascii: "}")]) { [] }.count == 1)
    }

    @Test mutating func `goes on after a refusal, and says which it was`() throws {
        try identify()
        _ = conversation.next()
        try conversation.say(.ping)
        #expect(
            try take("E_BAD_TOPIC no") == [.refused(.register(plays), answer: "E_BAD_TOPIC no")])
        #expect(nextText() == "PING\n")
    }

    @Test(arguments: ["E_INVALID", "[]", "x"])
    mutating func `ends when it is not known who answers`(answer: String) throws {
        _ = conversation.next()
        #expect(throws: LookupConversation.Failure.self) { try take(answer) }
    }

    @Test mutating func `ends at an answer nobody asked for, or that is no answer`() throws {
        try identify()
        #expect(throws: LookupConversation.Failure.self) { try take("OK") }
        #expect(throws: LookupConversation.Failure.self) {
            try conversation.receive([0xff, 0, 0, 0]) { [] }
        }
        #expect(throws: LookupConversation.Failure.self) {
            try conversation.receive([0x7f, 0, 0, 0]) { [] }
        }
    }

    @Test mutating func `ends rather than keep changes without bound`() throws {
        try identify()
        #expect(throws: LookupConversation.Failure.self) {
            for _ in 0...LookupConversation.maxWaiting { try conversation.say(.register(plays)) }
        }
    }
}
