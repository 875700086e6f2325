import Transport

/// TLS and compression of one connection, between its socket and its frames.
final class ConnectionCodec {
    /// The commands that ``encode(into:)`` has not encoded yet.
    var output: [UInt8] = []

    private let stream: LayeredStream
    private let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: ConnectionCodec.readBytes, alignment: 16)

    private static let readBytes = 64 << 10

    /// Creates the codec of a connection.
    ///
    /// - Parameter tls: the TLS session before its handshake; nil without TLS.
    init(tls: TLSSession?) {
        stream = LayeredStream(tls: tls)
    }

    deinit { memory.deallocate() }

    /// `true` after nsqd has ended its stream, in TLS or in the compression.
    var hasEnded: Bool { stream.hasEnded }

    /// The memory for the next read from the socket.
    var readBuffer: UnsafeMutableRawBufferPointer { memory }

    /// Accepts bytes from the socket. The first call starts the TLS handshake, and may pass no bytes.
    func receive(_ bytes: UnsafeRawBufferPointer) throws(TransportError) {
        try stream.receive(bytes)
    }

    /// Compresses all following bytes in both directions.
    ///
    /// - Parameter rest: the bytes, already compressed, that were received after the last uncompressed
    ///   response.
    func add(_ compression: any TransportLayer, rest: [UInt8]) {
        rest.withUnsafeBytes { stream.add(compression, rest: $0) }
    }

    /// Decodes received bytes, up to the space that `frames` has for one read.
    ///
    /// - Returns: the number of decoded bytes; 0 when all bytes are decoded.
    func decode(into frames: inout FrameReader) throws(TransportError) -> Int {
        while stream.plain.isEmpty, try stream.advance(limit: FrameReader.minFreeBytes) {}
        let plain = stream.plain
        let count = min(plain.count, FrameReader.minFreeBytes)
        frames.append(UnsafeRawBufferPointer(rebasing: plain.bytes[..<count]))
        plain.consume(count)
        return count
    }

    /// Encodes ``output``, and appends the encoded bytes and the records of the TLS handshake.
    func encode(into bytes: inout [UInt8]) {
        stream.encode(&output, to: &bytes)
    }

    /// Ends TLS, after all commands, with a `close_notify` alert.
    func finish(into bytes: inout [UInt8]) {
        stream.encode(&output, to: &bytes)
        stream.finish()
        stream.encode(&output, to: &bytes)
    }
}

extension ClientSession.Layer {
    /// The new compression; nil for TLS.
    var compression: (any TransportLayer)? {
        switch self {
        case .tls: nil
        case .snappy: SnappyFrames()
        case .deflate(let level): Deflate(level: level)
        }
    }
}
