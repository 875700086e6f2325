import TestKit
import Testing
import Transport

@Suite struct `A TLS session` {
    let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    // MARK: Handshakes

    @Test(arguments: TLSVersion.allCases)
    func `is negotiated with a client of any version`(version: TLSVersion) throws {
        var trusting = clientOptions
        trusting.minVersion = .tls10
        trusting.maxVersion = version
        let pair = try Pair(serverOptions, trusting)
        try pair.shakeHands()
        #expect(pair.server.tls?.version == version)
        #expect(pair.client.tls?.version == version)
        #expect(try #require(pair.server.tls).cipherSuite.hasPrefix("TLS_"))
    }

    @Test(arguments: TLSVersion.allCases)
    func `has the system's security level as a client of any minimum version`(
        version: TLSVersion
    ) throws {
        var options = clientOptions
        options.minVersion = version
        #expect(
            try TLSContext(client: options).securityLevel == TLSContext.systemSecurityLevel)
    }

    @Test func `has the common name of the client with all its bytes`() throws {
        var options = serverOptions
        // The changed name makes the signature invalid, so the server must not verify it.
        options.clientAuth = .require
        var client = clientOptions
        client.certificateFile = try certificates.stranger(withZeroIn: "stran", "er")
        client.keyFile = certificates.stranger.key
        let pair = try Pair(options, client)
        try pair.shakeHands()
        #expect(pair.server.tls?.peerCommonName == "stran\u{0}er")
    }

    @Test func `is rejected below the minimum version`() throws {
        var strict = serverOptions
        strict.minVersion = .tls13
        var old = clientOptions
        old.maxVersion = .tls12
        let pair = try Pair(strict, old)
        let error = #expect(throws: TransportError.self) { try pair.shakeHands() }
        #expect("\(try #require(error))".contains("unsupported protocol"))
        #expect(!pair.server.wire.isEmpty, "the client is told why")
    }

    @Test func `is rejected by a client that expects another server name`() throws {
        let pair = try Pair(serverOptions, clientOptions, serverName: "elsewhere.example")
        #expect(throws: TransportError.self) { try pair.shakeHands() }
        #expect(!pair.client.isEstablished)
    }

    @Test func `is rejected by a client that trusts other authorities`() throws {
        var others = clientOptions
        others.trust = .authorities(file: certificates.stranger.certificate)
        let pair = try Pair(serverOptions, others)
        let error = #expect(throws: TransportError.self) { try pair.shakeHands() }
        #expect("\(try #require(error))".contains("certificate"))
    }

    enum Shown: CaseIterable { case nothing, stranger, signed }

    @Test(arguments: [
        (TLSServerOptions.ClientAuth.none, [Shown.nothing, .stranger, .signed]),
        (.require, [.stranger, .signed]), (.requireVerified, [.signed]),
    ])
    func `accepts the clients that the policy allows`(
        policy: TLSServerOptions.ClientAuth, allowed: [Shown]
    ) throws {
        for shown in Shown.allCases {
            var options = serverOptions
            options.clientAuth = policy
            options.rootCAFile = certificates.authority
            var client = clientOptions
            let identity: TestCertificates.Identity? =
                switch shown {
                case .nothing: nil
                case .stranger: certificates.stranger
                case .signed: certificates.client
                }
            client.certificateFile = identity?.certificate
            client.keyFile = identity?.key
            let pair = try Pair(options, client)
            if allowed.contains(shown) {
                try pair.shakeHands()
                let name = policy == .none ? nil : shown == .signed ? "client" : "stranger"
                #expect(pair.server.tls?.peerCommonName == name)
            } else {
                #expect(throws: TransportError.self, "\(policy) \(shown)") {
                    try pair.shakeHands()
                }
                #expect(!pair.server.isEstablished)
            }
        }
    }

    @Test func `is rejected with a peer that does not use TLS`() throws {
        for nonsense in ["GET / HTTP/1.1\r\n\r\n", "  V2IDENTIFY\n", "\u{16}\u{3}\u{1}\u{ff}"] {
            let pair = try Pair(serverOptions, clientOptions)
            let bytes = Array(nonsense.utf8) + [UInt8](repeating: 0, count: 100)
            #expect(throws: TransportError.self) {
                try bytes.withUnsafeBytes { try pair.server.receive($0) }
            }
        }
    }

    // MARK: Data

    @Test func `transfers bytes in both directions for any split`() throws {
        var generator = SeededGenerator()
        let pair = try Pair(serverOptions, clientOptions)
        try pair.shakeHands(cutting: &generator)
        for _ in 0..<5 {
            for (sender, receiver) in [(pair.client, pair.server), (pair.server, pair.client)] {
                let bytes = randomBytes(
                    Int.random(in: 1...100_000, using: &generator), by: &generator)
                let seen = try pair.carry(bytes, sender, receiver, cutting: &generator)
                #expect(seen == bytes, "\(generator.repetition(of: "TLSTests"))")
            }
        }
    }

    @Test func `ends with the peer's close notification`() throws {
        let pair = try Pair(serverOptions, clientOptions)
        try pair.shakeHands()
        pair.client.finish()
        try pair.pass(pair.client, pair.server)
        #expect(pair.server.hasEnded)
    }

    @Test func `fails when a byte was changed in transit`() throws {
        var generator = SeededGenerator()
        for _ in 0..<20 {
            let pair = try Pair(serverOptions, clientOptions)
            try pair.shakeHands()
            [UInt8](repeating: 1, count: 100).withUnsafeBytes { pair.client.send($0) }
            pair.client.flush()
            var wire = Array(pair.client.wire.bytes)
            // A changed header may declare a longer record, which is incomplete then.
            let place = Int.random(in: 5..<wire.count, using: &generator)
            wire[place] ^= UInt8.random(in: 1...255, using: &generator)
            #expect(throws: TransportError.self) {
                try wire.withUnsafeBytes { try pair.server.receive($0) }
            }
            #expect(pair.server.plain.isEmpty)
        }
    }

    @Test func `answers key updates at once, and fails after 17 without data`() throws {
        let pair = try Pair(serverOptions, clientOptions)
        try pair.shakeHands()
        let client = try #require(pair.client.tls)
        func updateKeys() throws {
            client.updateKeys(into: pair.client.wire)
            try pair.pass(pair.client, pair.server)
        }
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<3 {
            for _ in 0..<16 { try updateKeys() }
            #expect(!pair.server.wire.isEmpty)
            try pair.pass(pair.server, pair.client)
            let bytes: [UInt8] = [1, 2, 3]
            let seen = try pair.carry(bytes, pair.client, pair.server, cutting: &generator)
            #expect(seen == bytes)
            // The answers of the server also contain key updates, which the client counts.
            let back = try pair.carry(bytes, pair.server, pair.client, cutting: &generator)
            #expect(back == bytes)
        }
        for _ in 0..<16 { try updateKeys() }
        let error = #expect(throws: TransportError.self) { try updateKeys() }
        #expect("\(try #require(error))".contains("key updates"))
    }

    // MARK: Setup

    @Test func `reports a missing file during setup`() throws {
        var options = serverOptions
        options.certificateFile = "/nowhere/cert.pem"
        #expect(setupError(options) == "certificate /nowhere/cert.pem: No such file or directory")
        options = serverOptions
        options.keyFile = "/nowhere/key.pem"
        #expect(setupError(options) == "private key /nowhere/key.pem: No such file or directory")
        options = serverOptions
        options.rootCAFile = "/nowhere/ca.pem"
        #expect(setupError(options)?.hasPrefix("certificate authorities /nowhere/ca.pem: ") == true)
    }

    @Test func `rejects a private key that does not match the certificate`() throws {
        let options = TLSServerOptions(
            certificateFile: certificates.server.certificate, keyFile: certificates.client.key)
        let error = try #require(setupError(options))
        #expect(error.contains("private key"))
        #expect(error.contains("key values mismatch"))
    }

    private func setupError(_ options: TLSServerOptions) -> String? {
        do throws(TLSSetupError) {
            _ = try TLSContext(server: options)
            return nil
        } catch {
            return error.reason
        }
    }

    // MARK: Options

    private var serverOptions: TLSServerOptions {
        TLSServerOptions(
            certificateFile: certificates.server.certificate, keyFile: certificates.server.key)
    }

    private var clientOptions: TLSClientOptions {
        var options = TLSClientOptions()
        options.trust = .authorities(file: certificates.authority)
        return options
    }
}
