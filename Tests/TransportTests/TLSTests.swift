import TestKit
import Testing
import Transport

@Suite struct `A TLS session` {
    let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    // MARK: Handshakes

    @Test(arguments: TLSVersion.allCases)
    func `is agreed on by a client of any version`(version: TLSVersion) throws {
        var trusting = clientOptions
        trusting.minVersion = .tls10
        trusting.maxVersion = version
        let pair = try Pair(serverOptions, trusting)
        try pair.shakeHands()
        #expect(pair.server.tls?.version == version)
        #expect(pair.client.tls?.version == version)
        #expect(try #require(pair.server.tls).cipherSuite.hasPrefix("TLS_"))
    }

    @Test func `is not agreed on below the lowest version`() throws {
        var strict = serverOptions
        strict.minVersion = .tls13
        var old = clientOptions
        old.maxVersion = .tls12
        let pair = try Pair(strict, old)
        let error = #expect(throws: TransportError.self) { try pair.shakeHands() }
        #expect("\(try #require(error))".contains("unsupported protocol"))
        #expect(!pair.server.wire.isEmpty, "the client is told why")
    }

    @Test func `is not agreed on by a client that expects another server`() throws {
        let pair = try Pair(serverOptions, clientOptions, serverName: "elsewhere.example")
        #expect(throws: TransportError.self) { try pair.shakeHands() }
        #expect(!pair.client.isEstablished)
    }

    @Test func `is not agreed on by a client that trusts others`() throws {
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
    func `lets in the clients that the policy allows`(
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

    @Test func `is not agreed on with somebody who talks of other things`() throws {
        for nonsense in ["GET / HTTP/1.1\r\n\r\n", "  V2IDENTIFY\n", "\u{16}\u{3}\u{1}\u{ff}"] {
            let pair = try Pair(serverOptions, clientOptions)
            let bytes = Array(nonsense.utf8) + [UInt8](repeating: 0, count: 100)
            #expect(throws: TransportError.self) {
                try bytes.withUnsafeBytes { try pair.server.receive($0) }
            }
        }
    }

    // MARK: Talk

    @Test func `carries both ways what it is given, however it is cut`() throws {
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

    @Test func `ends when the other side says so`() throws {
        let pair = try Pair(serverOptions, clientOptions)
        try pair.shakeHands()
        pair.client.finish()
        try pair.pass(pair.client, pair.server)
        #expect(pair.server.hasEnded)
    }

    @Test func `breaks off when a byte was changed on the way`() throws {
        var generator = SeededGenerator()
        for _ in 0..<20 {
            let pair = try Pair(serverOptions, clientOptions)
            try pair.shakeHands()
            [UInt8](repeating: 1, count: 100).withUnsafeBytes { pair.client.send($0) }
            pair.client.flush()
            var wire = Array(pair.client.wire.bytes)
            // The record's header aside: a longer record has not come in whole yet.
            let place = Int.random(in: 5..<wire.count, using: &generator)
            wire[place] ^= UInt8.random(in: 1...255, using: &generator)
            #expect(throws: TransportError.self) {
                try wire.withUnsafeBytes { try pair.server.receive($0) }
            }
            #expect(pair.server.plain.isEmpty)
        }
    }

    // MARK: Setting up

    @Test func `cannot be set up without its files, and says which`() throws {
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

    @Test func `cannot be set up with a key that is not the certificate's`() throws {
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
