import BrokerCore
import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing
import Transport
import UVLoop

@Suite(.blocking) struct `A connection that negotiates` {
    let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    @Test(arguments: [false, true], [nil, "deflate", "snappy"] as [String?])
    func `publishes and consumes through every combination of layers`(
        tls: Bool, compression: String?
    ) async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        let answer = try client.identify(settings(tls, compression), trusting: trust)
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
    func `cannot enable deflate and snappy together`(tls: Bool) async throws {
        let broker = try await startBroker()
        var both = settings(tls, "snappy")
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

    // MARK: Commands in one write

    @Test(.ours("what it has read ahead is lost to it"), arguments: ["deflate", "snappy"])
    func `can send compressed commands right after IDENTIFY`(compression: String) async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        let layer: any TransportLayer =
            compression == "deflate" ? Deflate(level: 6) : SnappyFrames()
        let behind = ByteBuffer()
        Array("NOP\nPUB plays\n\0\0\0\u{4}play".utf8).withUnsafeBytes {
            layer.encode($0, into: behind)
        }
        layer.flush(into: behind)
        try client.sendRaw(
            Array("  V2".utf8) + client.identifyBytes(settings(false, compression))
                + Array(behind.bytes))
        #expect(try client.text().hasPrefix("{"))
        client.add(layer)
        #expect(try client.text() == "OK", "of the layer")
        #expect(try client.text() == "OK", "of PUB")
        await broker.stop()
    }

    @Test func `can begin the TLS handshake right after IDENTIFY`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        let hello = ByteBuffer()
        let impatient = TLSSession(try TLSContext(client: trust))
        try impatient.continueHandshake(into: hello)
        try client.sendRaw(
            Array("  V2".utf8) + client.identifyBytes(settings(true, nil)) + Array(hello.bytes))
        // The response is plain, and a TLS handshake record follows it.
        #expect(try client.text().contains("\"tls_v1\":true"))
        await broker.stop()
    }

    @Test(.ours("it would lay TLS into TLS"))
    func `can add compression to TLS later, and gets no layer twice`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        #expect(try client.identify(settings(true, nil), trusting: trust).tls)
        let second = try client.identify(settings(true, "snappy"), magic: "")
        #expect(!second.tls)
        #expect(second.snappy)
        let third = try client.identify(settings(true, "deflate"), magic: "")
        #expect(!third.tls && !third.deflate)
        try client.publish([1, 2, 3], to: "plays")
        #expect(try client.text() == "OK")
        await broker.stop()
    }

    // MARK: Errors

    @Test func `can only send IDENTIFY before a required TLS handshake`() async throws {
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
        _ = try client.identify(settings(true, nil), trusting: trust)
        try client.publish([1], to: "plays")
        #expect(try client.text() == "OK")
        await broker.stop()
    }

    @Test func `is closed when the TLS handshake takes five seconds`() async throws {
        let broker = try await startBroker(clock: .manual)
        let client = try LayeredClient(broker.tcpAddress.description)
        try client.send(Array("  V2".utf8) + client.identifyBytes(settings(true, nil)))
        #expect(try client.text().hasPrefix("{"))
        try await broker.advance(by: .milliseconds(4999))
        #expect(client.isOpen)
        try await broker.advance(by: .milliseconds(1))
        #expect(client.isClosed())
        client.disconnect()
        await broker.stop()
    }

    @Test func `is closed when it sends other bytes than the TLS handshake`() async throws {
        // The clock does not advance, so the deadline of the handshake cannot close the connection.
        let broker = try await startBroker(clock: .manual)
        let client = try LayeredClient(broker.tcpAddress.description)
        try client.send(Array("  V2".utf8) + client.identifyBytes(settings(true, nil)))
        #expect(try client.text().hasPrefix("{"))
        try client.sendRaw(Array("PUB plays\n\0\0\0\u{1}x".utf8))
        #expect(client.isClosed())
        client.disconnect()
        #expect(try broker.topic("plays") == nil)
        await broker.stop()
    }

    @Test func `is closed after a bad checksum, and the broken chunk has no effect`() async throws {
        let broker = try await startBroker()
        let client = try LayeredClient(broker.tcpAddress.description)
        _ = try client.identify(settings(false, "snappy"))
        try client.sendRaw(
            [0xff, 6, 0, 0] + Array("sNaPpY".utf8) + [0x01, 8, 0, 0, 1, 2, 3, 4]
                + Array("NOP\n".utf8))
        #expect(client.isClosed())
        await broker.stop()
    }

    @Test(arguments: ["deflate", "snappy"])
    func `cannot send a command whose uncompressed size exceeds the limit`(compression: String)
        async throws
    {
        let broker = try await startBroker()
        let megabytes = [UInt8](repeating: 0x41, count: 30 << 20)
        let line = try LayeredClient(broker.tcpAddress.description)
        _ = try line.identify(settings(false, compression))
        try? line.send(megabytes)
        #expect(line.isClosed())
        let body = try LayeredClient(broker.tcpAddress.description)
        _ = try body.identify(settings(false, compression))
        try? body.publish(megabytes, to: "plays")
        #expect(try body.text() == "E_BAD_MESSAGE PUB message too big 31457280 > 1048576")
        #expect(body.isClosed())
        await broker.stop()
    }

    @Test(arguments: [nil, "snappy"] as [String?])
    func `receives all messages when it reads late and slowly`(compression: String?) async throws {
        var generator = SeededGenerator()
        let broker = try await startBroker()
        let producer = try LayeredClient(broker.tcpAddress.description)
        _ = try producer.identify(settings(false, nil))
        let bodies = (0..<40).map { _ in
            (0..<50_000).map { _ in UInt64.random(in: 0 ... .max, using: &generator) }
                .withUnsafeBytes { Array($0) }
        }
        for body in bodies {
            try producer.publish(body, to: "plays")
            #expect(try producer.text() == "OK")
        }
        let client = try LayeredClient(broker.tcpAddress.description, receiveBufferBytes: 4096)
        _ = try client.identify(settings(true, compression), trusting: trust)
        try client.send("SUB plays counts\nRDY 100\n")
        #expect(try client.text() == "OK")
        for body in bodies { #expect(Array(try client.frame().data.dropFirst(26)) == body) }
        await broker.stop()
    }

    // MARK: -

    private func startBroker(
        _ core: BrokerOptions = BrokerOptions(), clock: Loop.Clock = .system
    ) async throws -> HTTPProbe {
        try await HTTPProbe.start(clock: clock) {
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

    private func settings(_ tls: Bool, _ compression: String?) -> Identify {
        var settings = Identify()
        settings.featureNegotiation = true
        settings.tls = tls
        settings.deflate = compression == "deflate"
        settings.snappy = compression == "snappy"
        return settings
    }
}
