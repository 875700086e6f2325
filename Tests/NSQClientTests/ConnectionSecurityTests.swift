import TestKit
import Testing
import Transport
import UVLoop

@testable import NSQClient

/// TLS, compression and AUTH against an embedded broker or the nsqd that `NSQD_PROGRAM` names.
@Suite(.timeLimit(.minutes(5))) struct `A connection with TLS, compression or AUTH` {
    private let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    private func startNSQD(_ flags: [String: String] = [:]) async throws -> NSQDUnderTest {
        var flags = flags
        flags["tls-cert"] = certificates.server.certificate
        flags["tls-key"] = certificates.server.key
        return try await NSQDUnderTest.start(flags)
    }

    private func ownAuthority(
        certificate: TestCertificates.Identity? = nil, serverName: String? = nil,
        minVersion: ClientTLS.Version = .tls12
    ) throws -> ClientTLS {
        try ClientTLS(
            trust: .authorities(file: certificates.authority),
            certificateFile: certificate?.certificate, keyFile: certificate?.key,
            serverName: serverName, minVersion: minVersion)
    }

    /// Publishes messages of many sizes, and then receives and finishes them.
    private func exchange(with nsqd: NSQDUnderTest, _ client: ClientOptions) async throws {
        var generator = SeededGenerator()
        var options = Producer.Options()
        options.client = client
        var consuming = Consumer.Options()
        consuming.client = client
        let producer = try Producer(nsqd: nsqd.address, options: options, logger: quiet)
        let consumer = try Consumer(
            topic: "plays", channel: "counts", nsqds: [nsqd.address], options: consuming,
            logger: quiet)
        try await consumer.connected()
        var sent: [[UInt8]] = []
        for length in [1, 100, 20_000, 300_000, 1_000_000] {
            sent.append((0..<length).map { _ in .random(in: 0...255, using: &generator) })
            sent.append(Array(repeating: 7, count: length))
        }
        for body in sent { try await producer.publish(body, to: "plays") }
        var batch = PublishBatch()
        for number in 0..<5000 {
            sent.append(Array("play \(number)".utf8))
            batch.append(sent.last!)
        }
        try await producer.publish(batch, to: "plays")
        var received: [[UInt8]] = []
        for await batch in consumer.batches {
            received += batch.map(\.body)
            consumer.finish(batch)
            if received.count >= sent.count { break }
        }
        #expect(
            Set(received) == Set(sent), "\(generator.repetition(of: "ConnectionSecurityTests"))")
        #expect(received.count == sent.count)
        await consumer.stop()
        await producer.stop()
    }

    /// Returns the error of the first connection, which must fail.
    private func failure(at nsqd: NSQDUnderTest, _ client: ClientOptions) async throws -> NSQError?
    {
        var options = Consumer.Options()
        options.client = client
        let consumer = try Consumer(
            topic: "plays", channel: "counts", nsqds: [nsqd.address], options: options,
            logger: quiet)
        let error = await #expect(throws: NSQError.self) { try await consumer.connected() }
        await consumer.stop()
        return error
    }

    @Test(
        arguments: [false, true],
        [ClientOptions.Compression.none, .snappy, .deflate(level: 1), .deflate(level: 6)])
    func `transfers all messages`(tls: Bool, compression: ClientOptions.Compression) async throws {
        let nsqd = try await startNSQD(tls ? ["tls-required": "true"] : [:])
        var options = ClientOptions()
        if tls { options.tls = try ownAuthority() }
        options.compression = compression
        try await exchange(with: nsqd, options)
        await nsqd.stop()
    }

    @Test func `accepts only nsqds with a trusted certificate for their name`() async throws {
        let nsqd = try await startNSQD()
        var options = ClientOptions()
        options.tls = try ClientTLS()
        let untrusted = try await failure(at: nsqd, options)
        #expect(untrusted?.code == .unreachable)
        #expect(untrusted?.reason.contains("certificate verify failed") == true)

        options.tls = try ownAuthority(serverName: "nsqd.example")
        let misnamed = try await failure(at: nsqd, options)
        #expect(misnamed?.reason.contains("hostname mismatch") == true)

        options.tls = try ownAuthority(serverName: "localhost")
        try await exchange(with: nsqd, options)
        options.tls = try ClientTLS(trust: .certificate(file: certificates.server.certificate))
        try await exchange(with: nsqd, options)
        options.tls = try ClientTLS(trust: .certificate(file: certificates.client.certificate))
        #expect(
            try await failure(at: nsqd, options)?.reason.contains("certificate verify failed")
                == true)
        options.tls = try ClientTLS(trust: .insecureWithoutVerification)
        try await exchange(with: nsqd, options)
        await nsqd.stop()
    }

    /// The certificate is signed by the authority, and contains neither a name nor an address.
    @Test func `accepts no certificate for another host than that of the address`() async throws {
        let nsqd = try await NSQDUnderTest.start([
            "tls-cert": certificates.client.certificate, "tls-key": certificates.client.key,
        ])
        var options = ClientOptions()
        options.tls = try ownAuthority()
        let misnamed = try await failure(at: nsqd, options)
        #expect(misnamed?.reason.contains("mismatch") == true)
        await nsqd.stop()
    }

    /// The client announces its versions in the extension `supported_versions` (RFC 8446, 4.2.1).
    @Test(
        arguments: [
            (ClientTLS.Version.tls12, [0, 0x2b, 0, 5, 4, 3, 4, 3, 3]),
            (.tls13, [0, 0x2b, 0, 3, 2, 3, 4]),
        ] as [(ClientTLS.Version, [UInt8])])
    func `offers no version below its minimum`(version: ClientTLS.Version, extension: [UInt8])
        throws
    {
        let tls = try ownAuthority(minVersion: version)
        let stream = LayeredStream(tls: tls.session(to: "localhost"))
        try stream.receive(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(Array(stream.wire.bytes).firstRange(of: `extension`) != nil)
    }

    @Test func `sends its certificate to an nsqd that requires one`() async throws {
        let nsqd = try await startNSQD([
            "tls-client-auth-policy": "require-verify",
            "tls-root-ca-file": certificates.authority,
        ])
        var options = ClientOptions()
        options.tls = try ownAuthority(certificate: certificates.client)
        try await exchange(with: nsqd, options)
        for refused in [nil, certificates.stranger] {
            options.tls = try ownAuthority(certificate: refused)
            #expect(try await failure(at: nsqd, options)?.code == .unreachable)
        }
        await nsqd.stop()
    }

    @Test func `fails if nsqd offers no TLS`() async throws {
        let plain = try await NSQDUnderTest.start()
        var options = ClientOptions()
        options.tls = try ownAuthority()
        #expect(
            try await failure(at: plain, options)
                == .unreachable(
                    address: plain.address, reason: "offers no TLS, which the options require"))
        await plain.stop()
    }

    @Test func `requires TLS settings for an nsqd with --tls-required`() async throws {
        let nsqd = try await startNSQD(["tls-required": "true"])
        let error = try await failure(at: nsqd, ClientOptions())
        #expect(error?.code == .refused)
        #expect(error?.reason.contains("TLS required") == true)
        await nsqd.stop()
    }

    @Test func `continues without a compression that nsqd does not offer`() async throws {
        let nsqd = try await NSQDUnderTest.start(["snappy": "false", "deflate": "false"])
        for compression in [ClientOptions.Compression.snappy, .deflate(level: 9)] {
            var options = ClientOptions()
            options.compression = compression
            try await exchange(with: nsqd, options)
        }
        await nsqd.stop()
    }

    @Test func `authenticates with its secret, also over TLS and compression`() async throws {
        let (service, address) = try await AuthorizationService.start(granting: "let me in")
        let nsqd = try await startNSQD(["auth-http-address": address])
        var options = ClientOptions()
        let missing = try await failure(at: nsqd, options)
        #expect(missing?.code == .unreachable)
        #expect(missing?.reason == "requires AUTH, but the options contain no secret")
        options.authSecret = "wrong"
        let wrong = try await failure(at: nsqd, options)
        #expect(wrong?.code == .refused)
        #expect(wrong?.reason == "E_UNAUTHORIZED AUTH no authorizations found")
        options.authSecret = "let me in"
        try await exchange(with: nsqd, options)
        options.tls = try ownAuthority()
        options.compression = .snappy
        try await exchange(with: nsqd, options)
        await nsqd.stop()
        await service.stop()
    }

    @Test func `rejects files that it cannot use when its options are created`() throws {
        let missing = try #require(throws: NSQError.self) {
            try ClientTLS(trust: .authorities(file: "/nowhere.pem"))
        }
        #expect(missing.code == .invalidOption)
        #expect(missing.description.contains("/nowhere.pem"))
        #expect(throws: NSQError.self) {
            try ClientTLS(
                certificateFile: certificates.client.certificate, keyFile: certificates.server.key)
        }
        #expect(throws: NSQError.self) { try ClientTLS(keyFile: certificates.server.key) }
    }
}
