/// The layers of one connection, put together: TLS at the bottom, compression above it, either of
/// them or both.
///
/// What comes from the socket goes in by ``receive(_:)`` and comes out as ``plain``, a portion with
/// each ``advance(limit:)``. What is to be sent goes in by ``send(_:)`` and lies in ``wire`` after
/// ``flush()``.
package final class LayeredStream {
    package let tls: TLSSession?
    private var compression: (any Layer)?

    /// To be put on the wire as it is.
    package private(set) var wire = ByteBuffer()

    /// What lies between the layers, or above TLS if there is no other one.
    private let uncovered = ByteBuffer()
    private let uncompressed = ByteBuffer()
    private let compressed = ByteBuffer()

    package init(tls: TLSSession?) { self.tls = tls }

    /// Lays compression over what there is; all bytes that have not come out yet go through it.
    package func add(_ layer: any Layer) {
        precondition(compression == nil, "one compression is enough")
        compression = layer
    }

    /// What is plain may go out.
    package var isEstablished: Bool { tls?.isEstablished ?? true }

    /// The peer has said that nothing more will come.
    package var hasEnded: Bool { tls?.hasEnded ?? false || compression?.hasEnded ?? false }

    // MARK: In

    /// What has come out and not been consumed yet.
    package var plain: ByteBuffer { compression == nil ? uncovered : uncompressed }

    /// Takes bytes from the socket, and goes on with the handshake until it is done.
    package func receive(_ bytes: UnsafeRawBufferPointer) throws(TransportError) {
        guard let tls else { return uncovered.append(bytes) }
        var rest = bytes
        _ = try tls.incoming(&rest, into: uncovered)
        guard !tls.isEstablished else { return }
        try tls.shakeHands(into: wire)
        // Behind the handshake there may be more in what has come.
        if tls.isEstablished { _ = try tls.incoming(&rest, into: uncovered) }
    }

    /// Makes a further portion ``plain``.
    ///
    /// - Parameter limit: about how many bytes it may be, however little came from the socket.
    /// - Returns: whether there is another one at once.
    package func advance(limit: Int) throws(TransportError) -> Bool {
        guard let compression else { return false }
        var rest = uncovered.bytes
        let hasMore = try compression.incoming(&rest, into: uncompressed, limit: limit)
        uncovered.consume(uncovered.count - rest.count)
        return hasMore
    }

    // MARK: Out

    package func send(_ plain: UnsafeRawBufferPointer) {
        guard let compression else { return sendUncompressed(plain) }
        compression.outgoing(plain, into: tls == nil ? wire : compressed)
        sendCompressed()
    }

    /// Puts on the wire all that was sent: the peer can read it to the last byte.
    package func flush() {
        compression?.flush(into: tls == nil ? wire : compressed)
        sendCompressed()
        tls?.flush(into: wire)
    }

    /// Gives ``wire`` away, for a write that takes its time.
    package func takeWire() -> ByteBuffer {
        defer { wire = ByteBuffer() }
        return wire
    }

    /// Says that nothing more will come.
    package func finish() {
        guard isEstablished else { return }
        flush()
        tls?.finish(into: wire)
    }

    private func sendCompressed() {
        guard !compressed.isEmpty else { return }
        sendUncompressed(compressed.bytes)
        compressed.clear()
    }

    private func sendUncompressed(_ bytes: UnsafeRawBufferPointer) {
        if let tls { tls.outgoing(bytes, into: wire) } else { wire.append(bytes) }
    }
}
