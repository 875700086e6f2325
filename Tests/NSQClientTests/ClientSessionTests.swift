import NSQClient
import NSQWire
import Testing

@Suite struct `A client session` {
    private static let second: Int64 = 1_000_000_000
    private var out: [UInt8] = []

    private var written: String { String(decoding: out, as: UTF8.self) }

    private var answer = IdentifyResponse(
        maxReadyCount: 7, version: "1.3.0", maxMessageTimeout: 900_000, messageTimeout: 1500,
        deflateLevel: 6, maxDeflateLevel: 6, sampleRate: 0, outputBufferSize: 16384,
        outputBufferTimeout: 250, topologyRegion: "", topologyZone: "")

    private mutating func receiveAnswer(
        _ session: inout ClientSession
    ) throws -> ClientSession.Event {
        try receive(&session, String(decoding: answer.json, as: UTF8.self))
    }

    private mutating func receive(
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
            #expect(try receive(&session, "OK") == .established)
        } else {
            #expect(try receive(&session, "OK") == .none)
            #expect(written == "SUB plays counts\n")
            #expect(try receive(&session, "OK") == .established)
        }
        return session
    }

    @Test mutating func `opens with the protocol version and IDENTIFY`() {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        var identify = Identify()
        identify.userAgent = "tally"
        session.open(identify, into: &out, atNanoseconds: 0)
        let body = #"{"user_agent":"tally"}"#
        #expect(written == "  V2IDENTIFY\n\0\0\0\(UnicodeScalar(UInt8(body.count)))" + body)
    }

    @Test mutating func `uses the limits in nsqd's response to IDENTIFY`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        #expect(try receiveAnswer(&session) == .established)
        #expect(session.limits == .init(maxReadyCount: 7, messageTimeout: .milliseconds(1500)))
    }

    @Test mutating func `uses nsqd's defaults for limits missing in the response`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        #expect(
            try receive(&session, #"{"version":"1.3.0","auth_required":false}"#) == .established)
        #expect(session.limits == .init())
    }

    @Test mutating func `answers heartbeats with NOP, also before it is established`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        #expect(try receive(&session, "_heartbeat_") == .none)
        #expect(written == "NOP\n")
        #expect(try receive(&session, "OK") == .established)
        #expect(try receive(&session, "_heartbeat_") == .none)
        #expect(written == "NOP\n")
    }

    @Test mutating func `reports OK and errors as responses to publishes`() throws {
        var session = try established(.producer)
        #expect(try receive(&session, "OK") == .publishAccepted)
        #expect(
            try receive(&session, "E_BAD_MESSAGE too big", .error)
                == .publishRefused("E_BAD_MESSAGE too big"))
    }

    @Test mutating func `rejects OK in an established consumer's session`() throws {
        var session = try established(.consumer(plays, counts))
        #expect(throws: ClientSession.Failure.unexpected("OK")) { try receive(&session, "OK") }
    }

    @Test(arguments: ["E_FIN_FAILED x", "E_REQ_FAILED x", "E_TOUCH_FAILED x"])
    mutating func `continues after an error for a late FIN, REQ or TOUCH`(text: String) throws {
        var session = try established(.consumer(plays, counts))
        #expect(try receive(&session, text, .error) == .answerRefused(text))
    }

    @Test mutating func `fails on any other error`() throws {
        var session = try established(.consumer(plays, counts))
        for text in ["E_INVALID RDY", "E_NEVER_HEARD_OF", ""] {
            #expect(throws: ClientSession.Failure.refused(text)) {
                try receive(&session, text, .error)
            }
        }
    }

    @Test mutating func `fails when nsqd refuses the subscription`() throws {
        var session = ClientSession(.consumer(plays, counts), heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        _ = try receive(&session, "OK")
        #expect(throws: ClientSession.Failure.refused("E_SUB_FAILED full")) {
            try receive(&session, "E_SUB_FAILED full", .error)
        }
    }

    @Test mutating func `closes once, with CLS and CLOSE_WAIT`() throws {
        var session = try established(.consumer(plays, counts))
        out = []
        session.close(into: &out)
        session.close(into: &out)
        #expect(written == "CLS\n")
        #expect(try receive(&session, "_heartbeat_") == .none)
        #expect(try receive(&session, "CLOSE_WAIT") == .closeWait)
        #expect(throws: ClientSession.Failure.self) { try receive(&session, "CLOSE_WAIT") }
    }

    @Test mutating func `is silent after two heartbeat intervals without input`() throws {
        var session = try established(.producer)
        session.recordInput(atNanoseconds: 10 * Self.second)
        #expect(!session.isSilent(atNanoseconds: 70 * Self.second))
        #expect(session.isSilent(atNanoseconds: 70 * Self.second + 1))
        session.recordInput(atNanoseconds: 71 * Self.second)
        #expect(!session.isSilent(atNanoseconds: 72 * Self.second))
    }

    @Test mutating func `fails when nsqd requires AUTH and there is no secret`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        session.open(Identify(), into: &out, atNanoseconds: 0)
        answer.authRequired = true
        #expect(throws: ClientSession.Failure.needsAuthentication) { try receiveAnswer(&session) }
    }

    @Test mutating func `installs TLS, then the compression, then authenticates and subscribes`()
        throws
    {
        var session = ClientSession(
            .consumer(plays, counts), heartbeatInterval: .seconds(30), authSecret: "secret")
        var identify = Identify()
        identify.tls = true
        identify.deflate = true
        session.open(identify, into: &out, atNanoseconds: 0)
        answer.tls = true
        answer.deflate = true
        answer.deflateLevel = 3
        answer.authRequired = true
        #expect(try receiveAnswer(&session) == .install(.tls))
        #expect(written.isEmpty)
        #expect(try receive(&session, "OK") == .install(.deflate(level: 3)))
        #expect(written.isEmpty)
        #expect(try receive(&session, "OK") == .none)
        #expect(written == "AUTH\n\0\0\0\u{6}secret")
        #expect(try receive(&session, #"{"identity":"amy"}"#) == .none)
        #expect(written == "SUB plays counts\n")
        #expect(try receive(&session, "OK") == .established)
    }

    @Test mutating func `sends no secret to an nsqd that does not require AUTH`() throws {
        var session = ClientSession(
            .producer, heartbeatInterval: .seconds(30), authSecret: "secret")
        session.open(Identify(), into: &out, atNanoseconds: 0)
        #expect(try receiveAnswer(&session) == .established)
        #expect(written.isEmpty)
    }

    @Test(arguments: [true, false])
    mutating func `fails when it requires TLS and nsqd does not offer it`(negotiates: Bool) throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        var identify = Identify()
        identify.tls = true
        session.open(identify, into: &out, atNanoseconds: 0)
        #expect(throws: ClientSession.Failure.tlsUnavailable) {
            _ = negotiates ? try receiveAnswer(&session) : try receive(&session, "OK")
        }
    }

    @Test mutating func `reports the settings that nsqd has refused or changed`() throws {
        var session = ClientSession(.producer, heartbeatInterval: .seconds(30))
        var identify = Identify()
        identify.snappy = true
        identify.messageTimeout = 2000
        identify.outputBufferSize = 16384
        session.open(identify, into: &out, atNanoseconds: 0)
        #expect(try receiveAnswer(&session) == .established)
        #expect(
            session.changedSettings == [
                "snappy is not enabled",
                "the message timeout in milliseconds is 1500 instead of 2000",
            ])
    }
}
