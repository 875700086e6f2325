import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing
import Transport
import UVLoop

/// NSQ documentation, “nsqd”, TLS.
@Suite(.blocking) struct `TCP over TLS` {
    let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    private func start(
        clock: Loop.Clock = .system, _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> HTTPProbe {
        var options = ServerOptions()
        options.tls.certificateFile = certificates.server.certificate
        options.tls.keyFile = certificates.server.key
        change(&options)
        return try await HTTPProbe.start(clock: clock) { $0 = options }
    }

    private var settings: Identify {
        var settings = Identify()
        settings.featureNegotiation = true
        settings.tls = true
        return settings
    }

    private func trust(as identity: TestCertificates.Identity? = nil) -> TLSClientOptions {
        var trust = TLSClientOptions()
        trust.trust = .authorities(file: certificates.authority)
        trust.certificateFile = identity?.certificate
        trust.keyFile = identity?.key
        return trust
    }

    /// Returns `true` if a client with this trust can publish.
    private func mayPublish(on nsqd: HTTPProbe, _ trust: TLSClientOptions) throws -> Bool {
        let client = try LayeredClient(nsqd.tcpAddress.description)
        do {
            _ = try client.identify(settings, trusting: trust)
            try client.publish([1], to: "plays")
            return try client.text() == "OK"
        } catch {
            return false
        }
    }

    @Test func `stays connected after the five seconds of the handshake timeout`() async throws {
        let nsqd = try await start(clock: .manual)
        let client = try LayeredClient(nsqd.tcpAddress.description)
        var settings = settings
        // No heartbeat must precede the response.
        settings.heartbeatInterval = 60_000
        _ = try client.identify(settings, trusting: trust())
        try await nsqd.advance(by: .milliseconds(5_500))
        try client.publish([1], to: "plays")
        #expect(try client.text() == "OK")
        await nsqd.stop()
    }

    @Test func `has at least the minimum version`() async throws {
        let nsqd = try await start { $0.tls.minVersion = .tls13 }
        #expect(try mayPublish(on: nsqd, trust()))
        var old = trust()
        old.maxVersion = .tls12
        #expect(try !mayPublish(on: nsqd, old))
        await nsqd.stop()
        let other = try await start()
        #expect(try mayPublish(on: other, old))
        await other.stop()
    }

    @Test(arguments: [TLSServerOptions.ClientAuth.require, .requireVerified])
    func `requires certificates of all clients if configured`(
        policy: TLSServerOptions.ClientAuth
    ) async throws {
        let nsqd = try await start {
            $0.tls.clientAuthPolicy = policy.rawValue
            $0.tls.rootCAFile = certificates.authority
        }
        #expect(try mayPublish(on: nsqd, trust(as: certificates.client)))
        #expect(
            try mayPublish(on: nsqd, trust(as: certificates.stranger)) == (policy == .require))
        #expect(try !mayPublish(on: nsqd, trust()))
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("PUB plays", body: "play")
        let error = client.response()
        #expect(error == "E_INVALID cannot PUB in current state (TLS required)")
        #expect(try nsqd.get("/ping").status == 403)
        await nsqd.stop()
    }

    @Test(arguments: ["deflate", "snappy"])
    func `appears in the statistics with the other negotiated settings`(compression: String)
        async throws
    {
        let nsqd = try await start()
        let client = try LayeredClient(nsqd.tcpAddress.description)
        var settings = settings
        settings.deflate = compression == "deflate"
        settings.snappy = compression == "snappy"
        settings.sampleRate = 42
        _ = try client.identify(settings, trusting: trust())
        try client.send("SUB plays count\n")
        #expect(try client.text() == "OK")
        let stats = (try nsqd.channel("plays", "count")?["clients"] as? [[String: Any]])?.first
        #expect(stats?["tls"] as? Bool == true)
        #expect(stats?["deflate"] as? Bool == (compression == "deflate"))
        #expect(stats?["snappy"] as? Bool == (compression == "snappy"))
        #expect(stats?["sample_rate"] as? Int == 42)
        await nsqd.stop()
    }
}
