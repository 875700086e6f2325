import TestKit
import Testing
import Transport

/// Both ends of a connection without a network.
struct Pair {
    let server: LayeredStream
    let client: LayeredStream

    init(
        _ serverOptions: TLSServerOptions, _ clientOptions: TLSClientOptions,
        serverName: String = "localhost"
    ) throws {
        server = LayeredStream(tls: TLSSession(try TLSContext(server: serverOptions)))
        client = LayeredStream(
            tls: TLSSession(try TLSContext(client: clientOptions), serverName: serverName))
    }

    init() {
        server = LayeredStream(tls: nil)
        client = LayeredStream(tls: nil)
    }

    /// Completes the handshake. An error of either end is thrown.
    func shakeHands() throws {
        var generator = SeededGenerator(seed: 1)
        try shakeHands(cutting: &generator)
    }

    func shakeHands(cutting generator: inout SeededGenerator) throws {
        guard client.tls != nil else { return }
        try client.receive(UnsafeRawBufferPointer(start: nil, count: 0))
        while !client.wire.isEmpty || !server.wire.isEmpty {
            try pass(client, server, cutting: &generator)
            try pass(server, client, cutting: &generator)
        }
        #expect(client.isEstablished && server.isEstablished)
    }

    /// Transfers the sender's encoded bytes.
    func pass(_ sender: LayeredStream, _ receiver: LayeredStream) throws {
        defer { sender.wire.clear() }
        try receiver.receive(sender.wire.bytes)
    }

    func pass(
        _ sender: LayeredStream, _ receiver: LayeredStream,
        cutting generator: inout SeededGenerator
    ) throws {
        while !sender.wire.isEmpty {
            let count = Int.random(in: 1...sender.wire.count, using: &generator)
            try receiver.receive(UnsafeRawBufferPointer(rebasing: sender.wire.bytes[..<count]))
            sender.wire.consume(count)
        }
    }

    /// Sends `bytes` in pieces with flushes, and returns the received bytes.
    func carry(
        _ bytes: [UInt8], _ sender: LayeredStream, _ receiver: LayeredStream,
        cutting generator: inout SeededGenerator
    ) throws -> [UInt8] {
        var seen: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(Int.random(in: 1...40_000, using: &generator)))
            rest = rest.dropFirst(piece.count)
            piece.withUnsafeBytes { sender.send($0) }
            if rest.isEmpty || Bool.random(using: &generator) { sender.flush() }
            try pass(sender, receiver, cutting: &generator)
            while try receiver.advance(limit: 10_000) {}
            seen += receiver.plain.bytes
            receiver.plain.clear()
        }
        return seen
    }
}
