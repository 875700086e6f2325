import NSQBroker
import NSQWire
import TestKit
import Testing
import Transport
import UVLoop

/// NSQ, “nsqd”, TLS.
@Suite struct `TCP over TLS` {
    let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    private func start(
        _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> HTTPProbe {
        var options = ServerOptions()
        options.tls.certificateFile = certificates.server.certificate
        options.tls.keyFile = certificates.server.key
        change(&options)
        return try await HTTPProbe.start { $0 = options }
    }

    private var wishes: Identify {
        var wishes = Identify()
        wishes.featureNegotiation = true
        wishes.tls = true
        return wishes
    }

    private func trust(as identity: TestCertificates.Identity? = nil) -> TLSClientOptions {
        var trust = TLSClientOptions()
        trust.trust = .authorities(file: certificates.authority)
        trust.certificateFile = identity?.certificate
        trust.keyFile = identity?.key
        return trust
    }

    /// Whether a client that trusts so may publish.
    private func mayPublish(on nsqd: HTTPProbe, _ trust: TLSClientOptions) throws -> Bool {
        let client = try LayeredClient(nsqd.tcpAddress.description)
        do {
            _ = try client.identify(wishes, trusting: trust)
            try client.publish([1], to: "plays")
            return try client.text() == "OK"
        } catch {
            return false
        }
    }

    @Test func `is kept beyond the five seconds that there are for the handshake`() async throws {
        let nsqd = try await start()
        let client = try LayeredClient(nsqd.tcpAddress.description)
        var wishes = wishes
        // A machine with more to do wakes the test late, and a heartbeat is not what it is about.
        wishes.heartbeatInterval = 60_000
        _ = try client.identify(wishes, trusting: trust())
        try await Task.sleep(for: .milliseconds(5_500))
        try client.publish([1], to: "plays")
        #expect(try client.text() == "OK")
        await nsqd.stop()
    }

    @Test func `is no older than it may be`() async throws {
        let nsqd = try await start { $0.tls.minVersion = .tls13 }
        #expect(try mayPublish(on: nsqd, trust()))
        var old = trust()
        old.maxVersion = .tls12
        #expect(try !mayPublish(on: nsqd, old))
        await nsqd.stop()
        let patient = try await start()
        #expect(try mayPublish(on: patient, old))
        await patient.stop()
    }

    @Test(arguments: [TLSServerOptions.ClientAuth.require, .requireVerified])
    func `that asks for certificates is asked of everybody`(
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
        let error = String(decoding: client.socket.receiveAll().dropFirst(8), as: UTF8.self)
        #expect(error == "E_INVALID cannot PUB in current state (TLS required)")
        #expect(try nsqd.get("/ping").status == 403)
        await nsqd.stop()
    }

    @Test(arguments: ["deflate", "snappy"])
    func `is shown with what else a client has asked for`(compression: String) async throws {
        let nsqd = try await start()
        let client = try LayeredClient(nsqd.tcpAddress.description)
        var wishes = wishes
        wishes.deflate = compression == "deflate"
        wishes.snappy = compression == "snappy"
        wishes.sampleRate = 42
        _ = try client.identify(wishes, trusting: trust())
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
