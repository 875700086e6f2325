import NSQWire
import Testing

@testable import BrokerCore

/// Rules that the recorded conversations in `Fixtures/wire` do not cover. See NSQ documentation, “Auth”.
@Suite struct `Required authorization` {
    let broker = TestBroker { $0.authRequired = true }
    private static let granted = Received.response(
        #"{"identity":"amy","identity_url":"","permission_count":1}"#)

    private func authorization(
        _ topic: String = "^plays$", channels: [String] = [".*"], ttl: Int = 60,
        _ permissions: String = #""subscribe","publish""#
    ) throws -> Authorization {
        let list = channels.map { "\"\($0)\"" }.joined(separator: ",")
        return try Authorization(
            parsing: Array(
                """
                {"ttl":\(ttl),"identity":"amy","authorizations":[\
                {"topic":"\(topic)","channels":[\(list)],"permissions":[\(permissions)]}]}
                """.utf8))
    }

    private func authorize(_ client: TestClient, _ answer: Authorization?) {
        client.send(.authenticate, body: Array("secret".utf8))
        client.authorize(answer)
    }

    @Test func `delays a client's commands until the authorization server has responded`() throws {
        let client = broker.client()
        client.send(.authenticate, body: Array("secret".utf8))
        client.publish("one")
        #expect(client.take() == [])
        #expect(
            client.session.authorizationRequest
                == AuthorizationRequest(
                    secret: "secret", remoteHost: "10.0.0.1", usesTLS: false, commonName: ""))
        client.authorize(try authorization())
        #expect(client.take() == [Self.granted, .ok])
        #expect(broker.topic()?.messageCount == 1)
    }

    @Test func `sends heartbeats and keeps the connection open while a client waits`() throws {
        let client = broker.client()
        client.send(.authenticate, body: Array("secret".utf8))
        broker.pass(.seconds(65))
        #expect(client.take() == [.heartbeat, .heartbeat])
        client.authorize(try authorization())
        #expect(client.take() == [Self.granted])
        broker.pass(.seconds(20))
        #expect(!client.isDisconnected)
    }

    @Test func `requests a new authorization after the old one has expired`() throws {
        let client = broker.client()
        authorize(client, try authorization(ttl: 2))
        broker.passUnnoticed(.seconds(1))
        client.publish("one")
        #expect(client.session.authorizationRequest == nil)
        broker.passUnnoticed(.seconds(1))
        client.publish("two", "three")
        #expect(client.session.authorizationRequest?.secret == "secret")
        #expect(client.take() == [Self.granted, .ok])
        client.authorize(try authorization())
        #expect(client.take() == [.ok, .ok])
        #expect(broker.topic()?.messageCount == 3)
    }

    @Test
    func `refuses revoked permissions, and closes the connection without a response of the server`()
        throws
    {
        let denied = broker.client()
        authorize(denied, try authorization(ttl: 1))
        let unlucky = broker.client()
        authorize(unlucky, try authorization(ttl: 1))
        broker.passUnnoticed(.seconds(2))
        denied.send(.subscribe(.plays, .count))
        unlucky.send(.subscribe(.plays, .count))
        denied.authorize(try authorization("^likes$"))
        unlucky.authorize(nil)
        #expect(
            denied.take().last
                == .error(#"E_UNAUTHORIZED AUTH failed for SUB on "plays" "count""#))
        #expect(unlucky.take().last == .error("E_AUTH_FAILED AUTH failed"))
        #expect(denied.isDisconnected && unlucky.isDisconnected)
        #expect(broker.topic() == nil)
    }

    @Test func `keeps a subscription after its authorization has expired`() throws {
        let client = broker.client()
        authorize(client, try authorization(ttl: 1))
        client.send(.subscribe(.plays, .count), .ready(count: 1))
        broker.passUnnoticed(.seconds(5))
        broker.iteration {
            Array("x".utf8).withUnsafeBytes {
                try? broker.core.publish($0, to: .plays, at: broker.now)
            }
        }
        #expect(client.takeBodies() == ["x"])
        #expect(client.session.authorizationRequest == nil)
    }

    @Test(arguments: [
        ("^plays$", "plays", true), ("^plays$", "plays2", false), ("plays", "my-plays-2", true),
        ("^(plays|likes)$", "likes", true), ("^p[a-z]+$", "pLays", false), ("", "x", true),
        (#"^plays\\.\\d{2}$"#, "plays.42", true), (#"^plays\\.\\d{2}$"#, "plays.421", false),
        ("^plays(#ephemeral)?$", "plays#ephemeral", true), ("(?i)^PLAYS$", "plays", true),
    ])
    func `searches for a pattern anywhere in a name`(
        pattern: String, topic: String, isAllowed: Bool
    ) throws {
        let client = broker.client()
        authorize(client, try authorization(pattern))
        client.publish("one", to: TopicName(topic)!)
        #expect((client.take().last == .ok) == isAllowed)
    }

    @Test(arguments: [(["^$"], true), ([".*"], true), (["^count$"], false), ([], false)])
    func `allows publishing only if a channel pattern matches the empty name`(
        channels: [String], isAllowed: Bool
    ) throws {
        let client = broker.client()
        authorize(client, try authorization(channels: channels))
        client.publish("one")
        #expect((client.take().last == .ok) == isAllowed)
    }

    @Test(arguments: ["(", "[a", "a{2,1}", "*"])
    func `treats a response with an invalid pattern as invalid`(pattern: String) {
        #expect(throws: Authorization.Malformed.self) { try authorization(pattern) }
    }

    @Test func `includes the client's identity in the statistics`() throws {
        let client = broker.client()
        authorize(client, try authorization())
        client.publish("one")
        #expect(broker.statistics.producers.first?.authorized?.name == "amy")
    }
}
