import BrokerCore
import NSQBroker
import NSQWire
import TestKit
import Testing
import Transport
import UVLoop

@Suite struct `A connection that negotiates` {
    let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    @Test(arguments: [false, true], [nil, "deflate", "snappy"] as [String?])
    func `publishes and consumes through every combination of layers`(
        tls: Bool, compression: String?
    ) async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        let answer = try client.identify(wishes(tls, compression), trusting: trust)
        #expect(answer.tls == tls)
        #expect(answer.deflate == (compression == "deflate"))
        #expect(answer.snappy == (compression == "snappy"))

        var generator = SeededGenerator()
        let bodies = (0..<300).map { number in
            [UInt8](repeating: UInt8.random(in: 0...255, using: &generator), count: number * 20 + 1)
        }
        for body in bodies {
            try client.publish(body, to: "plays")
            #expect(try client.text() == "OK")
        }
        try client.send("SUB plays counts\nRDY 100\n")
        #expect(try client.text() == "OK")
        for body in bodies {
            let message = try client.frame()
            #expect(message.kind == .message)
            #expect(Array(message.data.dropFirst(26)) == body)
            try client.send("FIN \(String(decoding: message.data[10..<26], as: UTF8.self))\n")
        }
        try client.end()
        #expect(client.isClosed())
        await broker.stop()
    }

    @Test(arguments: [false, true])
    func `is refused both compressions at once`(tls: Bool) async throws {
        let broker = try await startBroker()
        var both = wishes(tls, "snappy")
        both.deflate = true
        let client = try LayeredClient(broker.tcpAddress.description)
        try client.send(Array("  V2".utf8) + client.identifyBytes(both))
        let error = try client.frame()
        #expect(error.kind == .error)
        #expect(
            String(decoding: error.data, as: UTF8.self)
                == "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression")
        #expect(client.isClosed())
        await broker.stop()
    }

    // MARK: What comes in one piece

    @Test(.ours("what it has read ahead is lost to it"), arguments: ["deflate", "snappy"])
    func `may send compressed commands right behind IDENTIFY`(compression: String) async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        let layer: any Layer = compression == "deflate" ? Deflate(level: 6) : SnappyFrames()
        let behind = ByteBuffer()
        Array("NOP\nPUB plays\n\0\0\0\u{4}play".utf8).withUnsafeBytes {
            layer.outgoing($0, into: behind)
        }
        layer.flush(into: behind)
        try client.sendRaw(
            Array("  V2".utf8) + client.identifyBytes(wishes(false, compression))
                + Array(behind.bytes))
        #expect(try client.text().hasPrefix("{"))
        client.add(layer)
        #expect(try client.text() == "OK", "of the layer")
        #expect(try client.text() == "OK", "of PUB")
        await broker.stop()
    }

    @Test func `may begin the handshake right behind IDENTIFY`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        let hello = ByteBuffer()
        let impatient = TLSSession(try TLSContext(client: trust))
        try impatient.shakeHands(into: hello)
        try client.sendRaw(
            Array("  V2".utf8) + client.identifyBytes(wishes(true, nil)) + Array(hello.bytes))
        // The answer is plain, and what follows it is a TLS handshake record.
        #expect(try client.text().contains("\"tls_v1\":true"))
        await broker.stop()
    }

    @Test(.ours("it would lay TLS into TLS"))
    func `may add compression to TLS later, and is declined what it has`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        #expect(try client.identify(wishes(true, nil), trusting: trust).tls)
        let second = try client.identify(wishes(true, "snappy"), magic: "")
        #expect(!second.tls)
        #expect(second.snappy)
        let third = try client.identify(wishes(true, "deflate"), magic: "")
        #expect(!third.tls && !third.deflate)
        try client.publish([1, 2, 3], to: "plays")
        #expect(try client.text() == "OK")
        await broker.stop()
    }

    // MARK: What goes wrong

    @Test func `is refused everything but IDENTIFY before TLS where that is required`() async throws
    {
        var options = BrokerOptions()
        options.tlsRequired = true
        let broker = try await startBroker(options)
        for (said, name) in [
            ("PUB plays\n", "PUB"), ("NOP\n", "NOP"), ("what ever\n", "what"), ("\n", ""),
        ] {
            let client = try LayeredClient(broker.tcpAddress.description)
            try client.send("  V2" + said)
            #expect(
                try client.text() == "E_INVALID cannot \(name) in current state (TLS required)")
            #expect(client.isClosed())
        }
        let client = try LayeredClient(broker.tcpAddress.description)
        _ = try client.identify(wishes(true, nil), trusting: trust)
        try client.publish([1], to: "plays")
        #expect(try client.text() == "OK")
        await broker.stop()
    }

    @Test func `is hung up on when it takes five seconds over the handshake`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        let start = ContinuousClock.now
        try client.send(Array("  V2".utf8) + client.identifyBytes(wishes(true, nil)))
        #expect(try client.text().hasPrefix("{"))
        #expect(client.isClosed())
        let time = ContinuousClock.now - start
        #expect(time >= .seconds(5) && time < .seconds(10))
        await broker.stop()
    }

    @Test func `is hung up on when it talks of other things than the handshake`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        try client.send(Array("  V2".utf8) + client.identifyBytes(wishes(true, nil)))
        #expect(try client.text().hasPrefix("{"))
        try client.sendRaw(Array("PUB plays\n\0\0\0\u{1}x".utf8))
        let start = ContinuousClock.now
        _ = client.isClosed()
        #expect(ContinuousClock.now - start < .seconds(4), "at once, not at the deadline")
        #expect(try broker.topic("plays") == nil)
        await broker.stop()
    }

    @Test func `is hung up on for a bad checksum, and nothing of it counts`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        _ = try client.identify(wishes(false, "snappy"))
        try client.sendRaw(
            [0xff, 6, 0, 0] + Array("sNaPpY".utf8) + [0x01, 8, 0, 0, 1, 2, 3, 4]
                + Array("NOP\n".utf8))
        #expect(client.isClosed())
        await broker.stop()
    }

    @Test(arguments: ["deflate", "snappy"])
    func `is refused what would be too long uncompressed`(compression: String) async throws {
        let broker = try await startBroker()
        let megabytes = [UInt8](repeating: 0x41, count: 30 << 20)
        let line = try LayeredClient(broker.tcpAddress.description)
        _ = try line.identify(wishes(false, compression))
        try? line.send(megabytes)
        #expect(line.isClosed())
        let body = try LayeredClient(broker.tcpAddress.description)
        _ = try body.identify(wishes(false, compression))
        try? body.publish(megabytes, to: "plays")
        #expect(try body.text() == "E_BAD_MESSAGE PUB message too big 31457280 > 1048576")
        #expect(body.isClosed())
        await broker.stop()
    }

    @Test(arguments: [nil, "snappy"] as [String?])
    func `gets all of it also when it reads late and slowly`(compression: String?) async throws {
        var generator = SeededGenerator()
        let broker = try await startBroker()
        let producer = try LayeredClient(broker.tcpAddress.description)
        _ = try producer.identify(wishes(false, nil))
        let bodies = (0..<40).map { _ in
            (0..<50_000).map { _ in UInt64.random(in: 0 ... .max, using: &generator) }
                .withUnsafeBytes { Array($0) }
        }
        for body in bodies {
            try producer.publish(body, to: "plays")
            #expect(try producer.text() == "OK")
        }
        let client = try LayeredClient(broker.tcpAddress.description, receiveBufferBytes: 4096)
        _ = try client.identify(wishes(true, compression), trusting: trust)
        try client.send("SUB plays counts\nRDY 100\n")
        #expect(try client.text() == "OK")
        for body in bodies { #expect(Array(try client.frame().data.dropFirst(26)) == body) }
        await broker.stop()
    }

    // MARK: -

    private func startBroker(_ core: BrokerOptions = BrokerOptions()) async throws -> HTTPProbe {
        try await HTTPProbe.start {
            $0.core = core
            $0.tls.requirement = core.tlsRequired ? .everywhere : .nowhere
            $0.tls.certificateFile = certificates.server.certificate
            $0.tls.keyFile = certificates.server.key
        }
    }

    private var trust: TLSClientOptions {
        var options = TLSClientOptions()
        options.trust = .authorities(file: certificates.authority)
        return options
    }

    private func wishes(_ tls: Bool, _ compression: String?) -> Identify {
        var wishes = Identify()
        wishes.featureNegotiation = true
        wishes.tls = tls
        wishes.deflate = compression == "deflate"
        wishes.snappy = compression == "snappy"
        return wishes
    }
}
