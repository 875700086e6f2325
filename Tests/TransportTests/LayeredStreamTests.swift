import TestKit
import Testing
import Transport

@Suite struct `A layered stream` {
    enum Compression: CaseIterable {
        case none, deflate, snappy

        var layer: (any TransportLayer)? {
            switch self {
            case .none: nil
            case .deflate: Deflate(level: 6)
            case .snappy: SnappyFrames()
            }
        }
    }

    @Test(arguments: [false, true], Compression.allCases)
    func `transfers bytes in both directions in every combination of layers`(
        hasTLS: Bool, compression: Compression
    ) throws {
        var generator = SeededGenerator()
        let pair = try makePair(hasTLS)
        try pair.shakeHands()
        for end in [pair.server, pair.client] {
            if let layer = compression.layer { end.add(layer) }
        }
        for _ in 0..<3 {
            for (sender, receiver) in [(pair.client, pair.server), (pair.server, pair.client)] {
                let bytes = mixedBytes(
                    Int.random(in: 1...200_000, using: &generator), by: &generator)
                let seen = try pair.carry(bytes, sender, receiver, cutting: &generator)
                #expect(seen == bytes, "\(generator.repetition(of: "LayeredStreamTests"))")
            }
        }
        #expect(pair.server.wire.isEmpty)
    }

    @Test(arguments: Compression.allCases)
    func `passes bytes right after the handshake to the compression layer`(
        compression: Compression
    ) throws {
        let pair = try makePair(true)
        try pair.client.receive(UnsafeRawBufferPointer(start: nil, count: 0))
        try pair.pass(pair.client, pair.server)
        try pair.pass(pair.server, pair.client)
        #expect(pair.client.isEstablished, "the client is done one message before the server")
        if let layer = compression.layer { pair.client.add(layer) }
        let word: [UInt8] = [1, 2, 3]
        word.withUnsafeBytes { pair.client.send($0) }
        pair.client.flush()
        try pair.pass(pair.client, pair.server)
        #expect(pair.server.isEstablished)
        if let layer = compression.layer { pair.server.add(layer) }
        while try pair.server.advance(limit: 100) {}
        #expect(Array(pair.server.plain.bytes) == word)
    }

    private func makePair(_ hasTLS: Bool) throws -> Pair {
        guard hasTLS else { return Pair() }
        let certificates = try TestCertificates()
        var trusting = TLSClientOptions()
        trusting.trust = .authorities(file: certificates.authority)
        return try Pair(
            TLSServerOptions(
                certificateFile: certificates.server.certificate,
                keyFile: certificates.server.key), trusting)
    }
}
