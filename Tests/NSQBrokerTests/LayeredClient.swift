import BrokerCore
import NSQWire
import TestKit
import Testing
import Transport

/// A client with a blocking socket and transport layers.
final class LayeredClient {
    private let socket: BlockingSocket
    private var layers = LayeredStream(tls: nil)

    struct Closed: Error {}

    /// - Parameter receiveBufferBytes: the size of the kernel's receive buffer; by default the system's.
    init(_ address: String, receiveBufferBytes: Int32? = nil) throws {
        socket = try BlockingSocket(to: address, receiveBufferBytes: receiveBufferBytes)
    }

    /// Closes the connection.
    func disconnect() { socket.close() }

    // MARK: Layers

    /// Sends `  V2` and IDENTIFY, and installs the negotiated layers. Each layer must be followed by OK.
    func identify(
        _ settings: Identify, trusting: TLSClientOptions? = nil, magic: String = "  V2"
    ) throws -> IdentifyResponse {
        try send(Array(magic.utf8) + identifyBytes(settings))
        let answer = try #require(
            try frame().data.withUnsafeBytes { IdentifyResponse(parsing: $0) })
        if answer.tls {
            try startTLS(try #require(trusting))
            #expect(try text() == "OK")
        }
        if let layer = compression(of: answer) {
            layers.add(layer)
            #expect(try text() == "OK")
        }
        return answer
    }

    func identifyBytes(_ settings: Identify) -> [UInt8] {
        var bytes = Array("IDENTIFY\n".utf8)
        let json = settings.json
        bytes.append(bigEndian: Int32(json.count))
        return bytes + json
    }

    func startTLS(_ options: TLSClientOptions) throws {
        layers = LayeredStream(tls: TLSSession(try TLSContext(client: options)))
        try layers.receive(UnsafeRawBufferPointer(start: nil, count: 0))
        try sendWire()
        while !layers.isEstablished {
            try receive()
            try sendWire()
        }
    }

    func add(_ layer: any TransportLayer) { layers.add(layer) }

    private func compression(of answer: IdentifyResponse) -> (any TransportLayer)? {
        if answer.deflate { return Deflate(level: answer.deflateLevel) }
        return answer.snappy ? SnappyFrames() : nil
    }

    // MARK: Sending

    func send(_ bytes: [UInt8]) throws {
        bytes.withUnsafeBytes { layers.send($0) }
        layers.flush()
        try sendWire()
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func publish(_ body: [UInt8], to topic: String) throws {
        var command = Array("PUB \(topic)\n".utf8)
        command.append(bigEndian: Int32(body.count))
        try send(command + body)
    }

    /// Sends bytes without the layers.
    func sendRaw(_ bytes: [UInt8]) throws {
        layers.wire.append(bytes)
        try sendWire()
    }

    /// Sends bytes and close_notify in one write.
    func end(with text: String) throws {
        Array(text.utf8).withUnsafeBytes { layers.send($0) }
        try end()
    }

    /// Shuts down the write side.
    func end() throws {
        layers.finish()
        try sendWire()
        socket.end()
    }

    /// Resets the connection, so that later writes of the broker fail.
    func reset() { socket.reset() }

    private func sendWire() throws {
        guard socket.send(layers.wire.bytes) else { throw Closed() }
        layers.wire.clear()
    }

    // MARK: Receiving

    /// Receives the next frame, and answers the heartbeats before it. Later bytes stay encoded, because
    /// a new layer may apply to them.
    func frame() throws -> (kind: Frame.Kind, data: [UInt8]) {
        while true {
            var offset = 0
            if let frame = try FrameScanner.next(in: layers.plain.bytes, at: &offset) {
                let data = Array(frame.data)
                let kind = frame.kind
                layers.plain.consume(offset)
                guard kind == .response, data.elementsEqual("_heartbeat_".utf8) else {
                    return (kind, data)
                }
                try send("NOP\n")
                continue
            }
            let before = layers.plain.count
            let hasMore = try layers.advance(limit: 1 << 20)
            if !hasMore, layers.plain.count == before { try receive() }
        }
    }

    func text() throws -> String { String(decoding: try frame().data, as: UTF8.self) }

    /// Receives bytes until they end with `end`.
    func text(upTo end: String) throws -> String {
        while !String(decoding: layers.plain.bytes, as: UTF8.self).hasSuffix(end) { try receive() }
        defer { layers.plain.clear() }
        return String(decoding: layers.plain.bytes, as: UTF8.self)
    }

    /// Receives all bytes until the peer closes its side.
    func textToTheEnd() throws -> String {
        try #require(isClosed())
        return String(decoding: layers.plain.bytes, as: UTF8.self)
    }

    /// `true` if the peer has neither closed the connection nor sent more bytes.
    var isOpen: Bool { !socket.isReadable() }

    /// Receives all decoded bytes until the connection ends.
    func isClosed() -> Bool {
        do {
            while true { try receive() }
        } catch is Closed {
            return true
        } catch {
            return false
        }
    }

    private func receive() throws {
        let bytes = socket.receive(atMost: 65_536)
        guard !bytes.isEmpty else { throw Closed() }
        try bytes.withUnsafeBytes { try layers.receive($0) }
    }
}
