import NSQClient
import NSQWire
import Testing

@Suite struct `A client's session` {
    private static let second: Int64 = 1_000_000_000
    private var out: [UInt8] = []

    private var written: String { String(decoding: out, as: UTF8.self) }

    private mutating func hear(
        _ session: inout ClientSession, _ text: String, _ kind: Frame.Kind = .response
    ) throws -> ClientSession.Event {
        out = []
        return try Array(text.utf8).withUnsafeBytes { data in
            try session.receive(kind, data, into: &out)
        }
    }

    private mutating func established(_ role: ClientSession.Role) throws -> ClientSession {
        var session = ClientSession(role, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        if role == .producer {
            #expect(try hear(&session, "OK") == .established)
        } else {
            #expect(try hear(&session, "OK") == .none)
            #expect(written == "SUB plays counts\n")
            #expect(try hear(&session, "OK") == .established)
        }
        return session
    }

    @Test mutating func `greets with the magic and IDENTIFY`() {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        var identify = Identify()
        identify.userAgent = "tally"
        session.open(identify, into: &out, atNanoseconds: 0)
        let body = #"{"user_agent":"tally"}"#
        #expect(written == "  V2IDENTIFY\n\0\0\0\(UnicodeScalar(UInt8(body.count)))" + body)
    }

    @Test mutating func `takes nsqd's terms from the answer`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        let answer = IdentifyAnswer(
            maxReadyCount: 7, version: "1.3.0", maxMessageTimeout: 900_000, messageTimeout: 1500,
            deflateLevel: 6, maxDeflateLevel: 6, sampleRate: 0, outputBufferSize: 16384,
            outputBufferTimeout: 250, topologyRegion: "", topologyZone: "")
        #expect(
            try hear(&session, String(decoding: answer.json, as: UTF8.self)) == .established)
        #expect(session.terms == .init(maxReadyCount: 7, messageTimeout: .milliseconds(1500)))
    }

    @Test mutating func `keeps to nsqd's defaults for what the answer leaves out`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        #expect(try hear(&session, #"{"version":"1.3.0","auth_required":false}"#) == .established)
        #expect(session.terms == .init())
    }

    @Test mutating func `answers heartbeats with NOP, also before it is established`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        #expect(try hear(&session, "_heartbeat_") == .none)
        #expect(written == "NOP\n")
        #expect(try hear(&session, "OK") == .established)
        #expect(try hear(&session, "_heartbeat_") == .none)
        #expect(written == "NOP\n")
    }

    @Test mutating func `passes OK on as the answer to a publish`() throws {
        var session = try established(.producer)
        #expect(try hear(&session, "OK") == .publishAccepted)
        #expect(
            try hear(&session, "E_BAD_MESSAGE too big", .error)
                == .publishRefused("E_BAD_MESSAGE too big"))
    }

    @Test mutating func `does not expect OK as a consumer`() throws {
        var session = try established(.consumer(plays, counts))
        #expect(throws: ClientSession.Failure.unexpected("OK")) { try hear(&session, "OK") }
    }

    @Test(arguments: ["E_FIN_FAILED x", "E_REQ_FAILED x", "E_TOUCH_FAILED x"])
    mutating func `goes on after an answer that came too late`(text: String) throws {
        var session = try established(.consumer(plays, counts))
        #expect(try hear(&session, text, .error) == .answerRefused(text))
    }

    @Test mutating func `ends on any other error`() throws {
        var session = try established(.consumer(plays, counts))
        for text in ["E_INVALID RDY", "E_NEVER_HEARD_OF", ""] {
            #expect(throws: ClientSession.Failure.refused(text)) {
                try hear(&session, text, .error)
            }
        }
    }

    @Test mutating func `ends when nsqd refuses the subscription`() throws {
        var session = ClientSession(.consumer(plays, counts), heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        _ = try hear(&session, "OK")
        #expect(throws: ClientSession.Failure.refused("E_SUB_FAILED full")) {
            try hear(&session, "E_SUB_FAILED full", .error)
        }
    }

    @Test mutating func `closes with CLS and CLOSE_WAIT, once`() throws {
        var session = try established(.consumer(plays, counts))
        out = []
        session.close(into: &out)
        session.close(into: &out)
        #expect(written == "CLS\n")
        #expect(try hear(&session, "_heartbeat_") == .none)
        #expect(try hear(&session, "CLOSE_WAIT") == .closeWait)
        #expect(throws: ClientSession.Failure.self) { try hear(&session, "CLOSE_WAIT") }
    }

    @Test mutating func `misses nsqd after two heartbeats that did not come`() throws {
        var session = try established(.producer)
        session.heard(atNanoseconds: 10 * Self.second)
        #expect(!session.isSilent(atNanoseconds: 70 * Self.second))
        #expect(session.isSilent(atNanoseconds: 70 * Self.second + 1))
        session.heard(atNanoseconds: 71 * Self.second)
        #expect(!session.isSilent(atNanoseconds: 72 * Self.second))
    }

    @Test mutating func `says that it cannot do AUTH`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        var answer = IdentifyAnswer(
            maxReadyCount: 7, version: "1.3.0", maxMessageTimeout: 900_000, messageTimeout: 1500,
            deflateLevel: 6, maxDeflateLevel: 6, sampleRate: 0, outputBufferSize: 16384,
            outputBufferTimeout: 250, topologyRegion: "", topologyZone: "")
        answer.authRequired = true
        #expect(throws: ClientSession.Failure.needsAuthentication) {
            try hear(&session, String(decoding: answer.json, as: UTF8.self))
        }
    }
}
