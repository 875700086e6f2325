import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

@Suite(.blocking) struct `A conversation with an nsqlookupd` {
    private var conversation = LookupClientSession(
        as: LookupIdentity(
            version: "1.3.0", tcpPort: 4150, httpPort: 4151, hostname: "h", broadcastAddress: "b"))
    private let plays = TopicName("plays")!

    private func frame(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(text.utf8.count))
        return bytes + Array(text.utf8)
    }

    private mutating func take(_ answer: String) throws -> [LookupClientSession.Outcome] {
        try conversation.receive(frame(answer)) { [.register(plays)] }
    }

    private mutating func identify() throws {
        _ = conversation.nextCommand()
        _ = try take(#"{"http_port":4161,"broadcast_address":"l"}"#)
    }

    private mutating func nextText() -> String? {
        conversation.nextCommand().map { String(decoding: $0, as: UTF8.self) }
    }

    @Test mutating func `begins with IDENTIFY in nsqd's format`() {
        let json =
            #"{"broadcast_address":"b","hostname":"h","http_port":4151,"tcp_port":4150,"#
            + #""version":"1.3.0"}"#
        #expect(nextText() == "  V1IDENTIFY\n\0\0\0\u{5b}" + json)
        #expect(json.utf8.count == 0x5b)
        #expect(conversation.nextCommand() == nil, "before the answer there is nothing more to say")
    }

    @Test mutating func `registers all topics, and then each change, one command at a time`() throws
    {
        _ = conversation.nextCommand()
        try conversation.enqueue(.register(TopicName("early")!))
        let outcomes = try take(#"{"http_port":4161,"broadcast_address":"l","other":[1]}"#)
        guard case .identified(let answer)? = outcomes.first else {
            Issue.record("not identified")
            return
        }
        #expect(answer.httpPort == 4161)
        #expect(answer.broadcastAddress == "l")
        try conversation.enqueue(.register(plays, ChannelName("count")!))
        #expect(nextText() == "REGISTER plays\n", "what came early is in what there is")
        #expect(conversation.nextCommand() == nil)
        #expect(try take("OK") == [])
        #expect(nextText() == "REGISTER plays count\n")
    }

    @Test mutating func `parses responses that arrive in pieces`() throws {
        _ = conversation.nextCommand()
        for byte in frame("{}").dropLast() {
            #expect(try conversation.receive([byte]) { [] } == [])
        }
        #expect(try conversation.receive([UInt8(ascii: "}")]) { [] }.count == 1)
    }

    @Test mutating func `continues after a refusal and reports the refused command`() throws {
        try identify()
        _ = conversation.nextCommand()
        try conversation.enqueue(.ping)
        #expect(
            try take("E_BAD_TOPIC no") == [.refused(.register(plays), response: "E_BAD_TOPIC no")])
        #expect(nextText() == "PING\n")
    }

    @Test(arguments: ["E_INVALID", "[]", "x"])
    mutating func `fails if the response to IDENTIFY is malformed`(answer: String) throws {
        _ = conversation.nextCommand()
        #expect(throws: LookupClientSession.Failure.self) { try take(answer) }
    }

    @Test mutating func `fails at a response without a command or with an invalid size`() throws {
        try identify()
        #expect(throws: LookupClientSession.Failure.self) { try take("OK") }
        #expect(throws: LookupClientSession.Failure.self) {
            try conversation.receive([0xff, 0, 0, 0]) { [] }
        }
        #expect(throws: LookupClientSession.Failure.self) {
            try conversation.receive([0x7f, 0, 0, 0]) { [] }
        }
    }

    @Test mutating func `queues changes up to the maximum`() throws {
        try identify()
        for _ in 1...LookupClientSession.maxQueuedChanges {
            try conversation.enqueue(.register(plays))
        }
        #expect(throws: LookupClientSession.Failure.self) {
            try conversation.enqueue(.register(plays))
        }
    }

    @Test mutating func `fails when too many changes are queued`() throws {
        try identify()
        #expect(throws: LookupClientSession.Failure.self) {
            for _ in 0...LookupClientSession.maxQueuedChanges {
                try conversation.enqueue(.register(plays))
            }
        }
    }
}
