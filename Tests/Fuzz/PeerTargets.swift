import BrokerCore
@testable import NSQBroker
@testable import NSQClient
import NSQWire

/// Passes the input as nsqd's frames to a client's session. The first byte selects the role.
@Sendable func fuzzClient(_ bytes: Bytes) {
    guard let first = bytes.first else { return }
    var session = ClientSession(
        first & 1 == 0
            ? .producer
            : .consumer(TopicName("plays")!, ChannelName("counts")!),
        heartbeatInterval: .seconds(30), authSecret: first & 2 == 0 ? nil : "secret")
    var sent: [UInt8] = []
    session.open(Identify(), into: &sent, atNanoseconds: 0)
    var decoder = FrameDecoder(limit: 1 << 20)
    try? decoder.feed(bytes.view(1..<bytes.count)) { frame in
        if frame.kind == .message {
            _ = ReceivedMessage(data: frame.data)
        } else {
            _ = try? session.receive(frame.kind, frame.data, into: &sent)
        }
    }
    _ = session.limits.messageTimeout + session.limits.maxMessageTimeout
    _ = session.isSilent(atNanoseconds: .max)
}

/// Passes the input as nsqlookupd's responses to a registration, and as the body of the responses of
/// its HTTP API.
@Sendable func fuzzLookupd(_ bytes: Bytes) {
    let identity = LookupIdentity(
        version: "1.3.0", tcpPort: 4150, httpPort: 4151, hostname: "host", broadcastAddress: "host")
    var conversation = LookupClientSession(as: identity)
    let registrations = [LookupCommand.register(TopicName("plays")!)]
    while conversation.nextCommand() != nil, !bytes.isEmpty {
        guard let outcomes = try? conversation.receive(bytes, registrations: { registrations })
        else { break }
        for case .identified(let answer) in outcomes { _ = "\(answer)" }
        guard !outcomes.isEmpty else { break }
    }
    _ = ChannelLookup.names(in: Array(bytes))
    _ = LookupResponse(parsing: Array(bytes))
}

/// Parses the input as an authorization server's response, and checks a permission.
@Sendable func fuzzAuthorization(_ bytes: Bytes) {
    guard let authorization = try? Authorization(parsing: Array(bytes)) else { return }
    precondition(authorization.timeToLive > .zero, "an accepted TTL is positive")
}
