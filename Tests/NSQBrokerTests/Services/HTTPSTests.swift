import Foundation
import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing
import Transport
import UVLoop

/// NSQ documentation, “nsqd”, HTTPS.
@Suite(.blocking) struct `HTTP over TLS` {
    let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    private func start(
        clientAuth: TLSServerOptions.ClientAuth = .none,
        _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> HTTPProbe {
        var options = ServerOptions()
        options.tls.certificateFile = certificates.server.certificate
        options.tls.keyFile = certificates.server.key
        options.tls.clientAuthPolicy = clientAuth == .none ? "" : clientAuth.rawValue
        options.tls.rootCAFile = certificates.authority
        change(&options)
        return try await HTTPProbe.start { $0 = options }
    }

    private func connect(
        to nsqd: HTTPProbe, as identity: TestCertificates.Identity? = nil
    ) throws -> LayeredClient {
        var trust = TLSClientOptions()
        trust.trust = .authorities(file: certificates.authority)
        trust.certificateFile = identity?.certificate
        trust.keyFile = identity?.key
        let client = try LayeredClient(try #require(nsqd.httpsAddress).description)
        try client.startTLS(trust)
        return client
    }

    @Test func `serves the same responses, and many requests per connection`() async throws {
        let nsqd = try await start()
        let client = try connect(to: nsqd)
        for number in 1...3 {
            try client.send("POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\n")
            try client.send("Content-Length: 4\r\n\r\nplay")
            #expect(try client.text(upTo: "\r\n\r\nOK").hasPrefix("HTTP/1.1 200"))
            #expect(try nsqd.topic("plays")?["message_count"] as? Int == number)
        }
        try client.send("GET /ping HTTP/1.0\r\n\r\n")
        #expect(try client.text(upTo: "\r\n\r\nOK").hasPrefix("HTTP/1.0 200"))
        #expect(client.isClosed())
        await nsqd.stop()
    }

    @Test func `responds to all requests that precede the end of the input`() async throws {
        let folder = try TemporaryFolder()
        let nsqd = try await start { $0.disk.dataPath = folder.url.path }
        let client = try connect(to: nsqd)
        let request =
            "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nplay"
        try client.end(with: request + request + request)
        #expect(try client.textToTheEnd().split(separator: "HTTP/1.1 200 OK").count == 3)
        #expect(try nsqd.topic("plays")?["message_count"] as? Int == 3)
        await nsqd.stop()
    }

    @Test func `sends large responses and receives large bodies`() async throws {
        let nsqd = try await start()
        let client = try connect(to: nsqd)
        for number in 0..<300 {
            _ = try nsqd.post("/topic/create?topic=a-topic-with-a-rather-long-name-\(number)")
        }
        let reader = try connect(to: nsqd)
        try reader.send("GET /stats?format=json HTTP/1.0\r\n\r\n")
        let answer = try reader.text(upTo: #""producers":null}"#)
        #expect(answer.contains("a-topic-with-a-rather-long-name-299"))
        let body = String(repeating: "x", count: 1_000_000)
        try client.send(
            "POST /pub?topic=large HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.count)\r\n\r\n\(body)"
        )
        #expect(try client.text(upTo: "\r\n\r\nOK").hasPrefix("HTTP/1.1 200"))
        #expect(try nsqd.topic("large")?["message_bytes"] as? Int == body.count)
        await nsqd.stop()
    }

    @Test func `responds to a client that has sent close_notify`() async throws {
        let nsqd = try await start()
        let client = try connect(to: nsqd)
        try client.send("GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try client.end()
        #expect(try client.text(upTo: "\r\n\r\nOK").hasPrefix("HTTP/1.1 200"))
        #expect(client.isClosed())
        await nsqd.stop()
    }

    @Test func `accepts only clients with a valid certificate if certificates are required`()
        async throws
    {
        let nsqd = try await start(clientAuth: .requireVerified)
        let client = try connect(to: nsqd, as: certificates.client)
        try client.send("GET /ping HTTP/1.0\r\n\r\n")
        #expect(try client.text(upTo: "\r\n\r\nOK").hasPrefix("HTTP/1.0 200"))
        for other in [certificates.stranger, nil] {
            let refused = try connect(to: nsqd, as: other)
            #expect(throws: (any Error).self) {
                try refused.send("GET /ping HTTP/1.0\r\n\r\n")
                _ = try refused.text(upTo: "OK")
            }
        }
        await nsqd.stop()
    }

    @Test func `leaves plain HTTP available if only TCP requires TLS`() async throws {
        let nsqd = try await start { $0.tls.requirement = .exceptHTTP }
        #expect(try nsqd.post("/pub?topic=plays", "play").body == "OK")
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("PUB plays", body: "play")
        let error = client.response()
        #expect(error == "E_INVALID cannot PUB in current state (TLS required)")
        #expect(try nsqd.topic("plays")?["message_count"] as? Int == 1)
        await nsqd.stop()
    }

    @Test func `appears in the statistics of each client`() async throws {
        let nsqd = try await start()
        var settings = Identify()
        settings.featureNegotiation = true
        settings.tls = true
        let client = try LayeredClient(nsqd.tcpAddress.description)
        var trust = TLSClientOptions()
        trust.trust = .authorities(file: certificates.authority)
        _ = try client.identify(settings, trusting: trust)
        try client.send("SUB plays count\n")
        #expect(try client.text() == "OK")
        let stats = (try nsqd.channel("plays", "count")?["clients"] as? [[String: Any]])?.first
        #expect(stats?["tls"] as? Bool == true)
        #expect(stats?["tls_version"] as? String == "TLS1.3")
        #expect((stats?["tls_cipher_suite"] as? String)?.isEmpty == false)
        await nsqd.stop()
    }

    @Test(.ours("it says 400 in plain HTTP before"))
    func `closes connections that do not use TLS`() async throws {
        let nsqd = try await start()
        let socket = try BlockingSocket(to: try #require(nsqd.httpsAddress))
        socket.send("GET /ping HTTP/1.0\r\n\r\n")
        #expect(!socket.receiveText().contains("HTTP"))
        #expect(try nsqd.get("/ping").body == "OK")
        await nsqd.stop()
    }

    @Test func `is the only HTTP if TLS is required`() async throws {
        let nsqd = try await start { $0.tls.requirement = .everywhere }
        let port = try #require(nsqd.httpsAddress).port
        for target in ["/ping", "/nowhere", "/stats"] {
            let response = try nsqd.get(target)
            #expect(response.status == 403)
            #expect(response.body == #"{"message": "TLS_REQUIRED", "https_port": \#(port)}"#)
            #expect(response.headers["content-type"] == "application/json; charset=utf-8")
            #expect(response.headers["x-nsq-content-type"] == "nsq; version=1.0")
        }
        #expect(try nsqd.post("/pub?topic=plays", "play").status == 403)
        let client = try connect(to: nsqd)
        try client.send("GET /ping HTTP/1.0\r\n\r\n")
        #expect(try client.text(upTo: "\r\n\r\nOK").hasPrefix("HTTP/1.0 200"))
        await nsqd.stop()
    }
}
