import BrokerCore
import Foundation
import NSQWire
import TestKit
import Testing
import Transport
import UVLoop

/// A client with a blocking socket and transport layers.
final class LayeredClient {
    private var descriptor: Int32
    private var layers = LayeredStream(tls: nil)

    struct Closed: Error {}

    init(_ address: String, receiveBufferBytes: Int32? = nil) throws {
        let place = try SocketAddress(parsing: address)
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        limitReads(of: descriptor)
        if var bytes = receiveBufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(4))
        }
        // Without delay, the bytes are sent when `send` returns.
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(4))
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = in_port_t(place.port).bigEndian
        target.sin_addr.s_addr = inet_addr(place.host)
        let status = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
    }

    deinit { disconnect() }

    /// Closes the connection.
    func disconnect() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    // MARK: Layers

    /// Sends `  V2` and IDENTIFY, and installs the negotiated layers. Each layer must be followed by OK.
    func identify(
        _ settings: Identify, trusting: TLSClientOptions? = nil, magic: String = "  V2"
    ) throws -> IdentifyAnswer {
        try send(Array(magic.utf8) + identifyBytes(settings))
        let answer = try #require(try frame().data.withUnsafeBytes { IdentifyAnswer(parsing: $0) })
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

    private func compression(of answer: IdentifyAnswer) -> (any TransportLayer)? {
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
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Resets the connection, so that later writes of the broker fail.
    func breakOff() {
        // A reset can overtake earlier bytes on a busy machine, so they must arrive first.
        var onItsWay: Int32 = 0
        repeat {
            guard ioctl(descriptor, UInt(TIOCOUTQ), &onItsWay) == 0 else { break }
        } while onItsWay > 0
        var atOnce = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &atOnce, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
        descriptor = -1
    }

    private func sendWire() throws {
        while !layers.wire.isEmpty {
            let bytes = layers.wire.bytes
            let sent = Foundation.send(
                descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            guard sent > 0 else { throw Closed() }
            layers.wire.consume(sent)
        }
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
    var isOpen: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return count == -1 && errno == EAGAIN
    }

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
        try withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            let count = repeatingInterrupted {
                recv(descriptor, buffer.baseAddress, buffer.count, 0)
            }
            guard count > 0 else { throw Closed() }
            try layers.receive(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
