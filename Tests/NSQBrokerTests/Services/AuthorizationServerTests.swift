import Foundation
import HTTP
import NSQWire
import TestKit
import TestTraits
import Testing
import Transport
import UVLoop

@testable import BrokerCore
@testable import NSQBroker

/// NSQ documentation, “nsqd”, Auth.
@Suite(.blocking) struct `An authorization server` {
    let server: BlockingListener
    private static let grant =
        #"{"ttl":60,"identity":"amy","identity_url":"http://amy","authorizations":[{"topic":"#
        + #""^plays$","channels":[".*"],"permissions":["publish","subscribe"]}]}"#

    init() throws { server = try BlockingListener() }

    private func start(
        _ addresses: [String]? = nil, clock: Loop.Clock = .system,
        _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> HTTPProbe {
        var services = ServerOptions()
        services.auth.httpAddresses = addresses ?? [server.address]
        change(&services)
        return try await HTTPProbe.start(clock: clock) { $0 = services }
    }

    @Test func `receives the client's secret, and its response grants permissions`() async throws {
        let nsqd = try await start()
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "a secret&more")
        client.tell("PUB plays", body: "play")
        client.tell("SUB plays count")
        let call = try server.accept()
        let request = call.receiveRequest()
        #expect(
            request.head.first
                == "GET /auth?common_name=&remote_ip=127.0.0.1&secret=a+secret%26more&tls=false HTTP/1.1"
        )
        #expect(request.head.contains("Accept: application/vnd.nsq; version=1.0"))
        call.respond(Self.grant)
        #expect(
            client.response()
                == #"{"identity":"amy","identity_url":"http://amy","permission_count":1}"#)
        #expect(client.response() == "OK")
        #expect(client.response() == "OK")
        let stats = try #require(
            (try nsqd.channel("plays", "count")?["clients"] as? [[String: Any]])?.first)
        #expect(stats["authed"] as? Bool == true)
        #expect(stats["auth_identity"] as? String == "amy")
        #expect(stats["auth_identity_url"] as? String == "http://amy")
        await nsqd.stop()
    }

    @Test func `receives a new request after the permissions expire, and the new response applies`()
        async throws
    {
        let nsqd = try await start(clock: .manual)
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "secret")
        let call = try server.accept()
        _ = call.receiveRequest()
        call.respond(Self.grant.replacingOccurrences(of: #""ttl":60"#, with: #""ttl":1"#))
        #expect(client.response().contains("amy"))
        client.tell("PUB plays", body: "play")
        #expect(client.response() == "OK")
        // The permissions expire after one second.
        try await nsqd.advance(by: .milliseconds(1100))
        client.tell("PUB plays", body: "play")
        let second = try server.accept()
        _ = second.receiveRequest()
        second.respond(Self.grant.replacingOccurrences(of: "publish", with: "subscribe"))
        #expect(client.response() == #"E_UNAUTHORIZED AUTH failed for PUB on "plays" """#)
        #expect(client.socket.receiveAll() == [])
        // The close timeout of the connection runs on the manual clock, too.
        try await nsqd.advance(by: .seconds(1))
        await nsqd.stop()
    }

    @Test func `receives no request for a subscribed consumer or for HTTP`() async throws {
        let nsqd = try await start(clock: .manual)
        let client = try RawClient(to: nsqd.tcpAddress)
        client.ask("IDENTIFY", body: #"{"heartbeat_interval":60000}"#)
        client.tell("AUTH", body: "secret")
        let call = try server.accept()
        _ = call.receiveRequest()
        call.respond(Self.grant.replacing(#""ttl":60"#, with: #""ttl":1"#))
        #expect(client.response().contains("amy"))
        client.ask("SUB plays count")
        // The permissions expire after one second.
        try await nsqd.advance(by: .milliseconds(1100))
        #expect(try nsqd.post("/pub?topic=plays", "play").body == "OK")
        client.tell("RDY 1")
        let message = client.message()
        #expect(message.body == "play")
        client.tell("FIN \(message.id)")
        #expect(try nsqd.post("/pub?topic=plays", "another").body == "OK")
        #expect(client.message().body == "another")
        await nsqd.stop()
    }

    @Test(.ours("1.3.0 has no such flag, and puts a second ? into such a URL"))
    func `receives a POST request at the configured URL`() async throws {
        let nsqd = try await start(["http://\(server.address)/who?v=1"]) {
            $0.auth.requestMethod = "post"
        }
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "secret")
        let call = try server.accept()
        let request = call.receiveRequest()
        #expect(request.head.first == "POST /who?v=1 HTTP/1.1")
        #expect(
            request.body
                == #"{"common_name":[""],"remote_ip":["127.0.0.1"],"secret":["secret"],"tls":["false"]}"#
        )
        call.respond(Self.grant)
        #expect(client.response().contains("amy"))
        await nsqd.stop()
    }

    @Test func `is used when other authorization servers fail`() async throws {
        let nsqd = try await start(["127.0.0.1:1", server.address, "ftp://x"])
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "secret")
        let call = try server.accept()
        _ = call.receiveRequest()
        call.respond(Self.grant)
        #expect(client.response().contains("amy"))
        await nsqd.stop()
    }

    /// The test's server requires TLS, so its plain response grants nothing.
    @Test(arguments: ["http", "https"])
    func `receives a request over TLS if it requires that and is trusted`(scheme: String)
        async throws
    {
        let certificates = try TestCertificates()
        var around = ServerOptions()
        around.tls.requirement = .everywhere
        around.tls.certificateFile = certificates.server.certificate
        around.tls.keyFile = certificates.server.key
        let tlsServer = try await HTTPProbe.start { $0 = around }
        let address = scheme == "http" ? tlsServer.httpAddress : tlsServer.httpsAddress!
        for trusts in [true, false] {
            let loop = try Loop()
            var options = ServerOptions()
            options.tls.rootCAFile =
                trusts ? certificates.authority : certificates.stranger.certificate
            options.tls.minVersion = .tls12
            var outcome: Result<HTTPClientResponse, HTTPClientError>?
            HTTPClient(options, trusting: TrustedAuthorities(options.tls), on: loop)
                .ask(try #require(Authorizer.url(of: "\(scheme)://\(address)/ping"))) {
                    outcome = $0
                }
            loop.run()
            loop.close()
            if trusts {
                #expect(try outcome?.get().status == 200)
                #expect(try outcome?.get().body == Array("OK".utf8))
            } else {
                guard case .failure(.tlsFailed)? = outcome else {
                    Issue.record("it was trusted")
                    continue
                }
            }
        }
        await tlsServer.stop()
    }

    @Test(arguments: [(500, "{}"), (200, "nonsense"), (200, #"{"ttl":0}"#)])
    func `refuses the client if its response is unusable`(
        status: Int, body: String
    ) async throws {
        let nsqd = try await start()
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("AUTH", body: "secret")
        let call = try server.accept()
        _ = call.receiveRequest()
        call.respond(body, status: status)
        #expect(client.response() == "E_AUTH_FAILED AUTH failed")
        #expect(client.socket.receiveAll() == [])
        await nsqd.stop()
    }

    @Test func `delays no other client`() async throws {
        let timeout = Duration.milliseconds(300)
        let nsqd = try await start(clock: .manual) { $0.httpClient.requestTimeout = timeout }
        let waiting = try RawClient(to: nsqd.tcpAddress)
        waiting.tell("AUTH", body: "secret")
        let call = try server.accept()
        _ = call.receiveRequest()
        #expect(try nsqd.get("/ping").body == "OK")
        try await nsqd.advance(by: timeout)
        #expect(waiting.response() == "E_AUTH_FAILED AUTH failed", "the time for it is up")
        // The close timeout of the connection runs on the manual clock, too.
        try await nsqd.advance(by: .seconds(1))
        await nsqd.stop()
    }

    @Test(arguments: [nil, "snappy"])
    func `receives the client's TLS state and certificate name`(compression: String?) async throws {
        let certificates = try TestCertificates()
        let nsqd = try await start {
            $0.tls.certificateFile = certificates.server.certificate
            $0.tls.keyFile = certificates.server.key
            $0.tls.clientAuthPolicy = "require"
        }
        var trust = TLSClientOptions()
        trust.trust = .anyone
        trust.certificateFile = certificates.client.certificate
        trust.keyFile = certificates.client.key
        var settings = Identify()
        settings.featureNegotiation = true
        settings.tls = true
        settings.snappy = compression == "snappy"
        let client = try LayeredClient(nsqd.tcpAddress.description)
        let negotiated = try client.identify(settings, trusting: trust)
        #expect(negotiated.authRequired)
        try client.send("AUTH\n\0\0\0\u{6}secretPUB plays\n\0\0\0\u{4}play")
        let call = try server.accept()
        let query = try #require(call.receiveRequest().head.first)
        #expect(query.contains("common_name=client&"))
        #expect(query.contains("tls=true"))
        call.respond(Self.grant)
        #expect(try client.text().contains("amy"))
        #expect(try client.text() == "OK")
        await nsqd.stop()
    }
}
