/// The transport layers of one connection: TLS, compression, both (compression inside TLS), or none.
///
/// To receive, ``receive(_:)`` accepts bytes from the socket, and each call of ``advance(limit:)``
/// decodes some of them into ``plain``. To send, ``send(_:)`` encodes plain bytes, and ``flush()``
/// completes the encoded bytes in ``wire``.
package final class LayeredStream {
    /// The TLS session, if the connection uses TLS.
    package let tls: TLSSession?
    private var compression: (any TransportLayer)?

    /// The encoded bytes to write to the socket.
    package private(set) var wire = ByteBuffer()

    /// The received bytes after TLS decryption and before decompression.
    private let decrypted = ByteBuffer()
    private let decompressed = ByteBuffer()
    /// The sent bytes after compression and before TLS encryption.
    private let compressed = ByteBuffer()

    /// The number of bytes in all buffers.
    package var bufferedBytes: Int {
        wire.count + decrypted.count + decompressed.count + compressed.count
    }

    /// Creates a stream without compression.
    package init(tls: TLSSession?) { self.tls = tls }

    /// Adds compression. Received bytes that are not decoded yet are decompressed as well.
    ///
    /// - Parameter rest: compressed bytes that the caller has already consumed from ``plain``.
    package func add(
        _ layer: any TransportLayer,
        rest: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        precondition(compression == nil, "a stream has at most one compression")
        precondition(rest.isEmpty || decrypted.isEmpty, "the rest precedes all other bytes")
        decrypted.append(rest)
        compression = layer
    }

    /// `true` if plain bytes can be sent: without TLS, or after the TLS handshake.
    package var isEstablished: Bool { tls?.isEstablished ?? true }

    /// `true` after the peer has ended its stream in TLS or in the compression.
    package var hasEnded: Bool { tls?.hasEnded ?? false || compression?.hasEnded ?? false }

    // MARK: Receiving

    /// The decoded bytes that the caller has not consumed yet.
    package var plain: ByteBuffer { compression == nil ? decrypted : decompressed }

    /// Accepts bytes from the socket, and continues the TLS handshake if it is not complete.
    package func receive(_ bytes: UnsafeRawBufferPointer) throws(TransportError) {
        try receiveWithoutHandshake(bytes)
        if !isEstablished { try continueHandshake() }
    }

    /// Accepts bytes from the socket. Before ``isEstablished``, the caller must also call
    /// ``continueHandshake()``. That call takes milliseconds, and can be made later.
    package func receiveWithoutHandshake(
        _ bytes: UnsafeRawBufferPointer
    ) throws(TransportError) {
        guard let tls else { return decrypted.append(bytes) }
        var rest = bytes
        _ = try tls.decode(&rest, into: decrypted)
        // Responses to key updates are sent even if no data is sent.
        if tls.isEstablished { tls.moveOutput(into: wire) }
    }

    /// Continues the TLS handshake with the received bytes.
    package func continueHandshake() throws(TransportError) {
        guard let tls, !tls.isEstablished else { return }
        try tls.continueHandshake(into: wire)
        guard tls.isEstablished else { return }
        // The received bytes may contain application data after the end of the handshake.
        var rest = UnsafeRawBufferPointer(start: nil, count: 0)
        _ = try tls.decode(&rest, into: decrypted)
    }

    /// Decodes more received bytes into ``plain``.
    ///
    /// - Parameter limit: the approximate maximum number of decoded bytes.
    /// - Returns: `true` if another call can decode more bytes now.
    package func advance(limit: Int) throws(TransportError) -> Bool {
        guard let compression else { return false }
        var rest = decrypted.bytes
        let hasMore = try compression.decode(&rest, into: decompressed, limit: limit)
        decrypted.consume(decrypted.count - rest.count)
        return hasMore
    }

    // MARK: Sending

    /// Encodes plain bytes. Part of the output may be held back until ``flush()``.
    package func send(_ plain: UnsafeRawBufferPointer) {
        guard let compression else { return encrypt(plain) }
        compression.encode(plain, into: tls == nil ? wire : compressed)
        sendCompressed()
    }

    /// Completes ``wire``, so that the peer can decode all bytes sent so far.
    package func flush() {
        compression?.flush(into: tls == nil ? wire : compressed)
        sendCompressed()
        tls?.flush(into: wire)
    }

    /// Encodes and removes all bytes of `plain`, and moves the encoded bytes, including records of
    /// the TLS handshake and alerts, to the end of `output`. Before the end of the handshake, `plain`
    /// must be empty.
    package func encode(_ plain: inout [UInt8], to output: inout [UInt8]) {
        if !plain.isEmpty {
            plain.withUnsafeBytes { send($0) }
            flush()
            plain.removeAll(keepingCapacity: plain.capacity <= Self.maxRetainedCapacity)
        }
        output += wire.bytes
        wire.clear()
    }

    /// The capacity in bytes above which ``encode(_:to:)`` releases the memory of its first
    /// argument.
    private static let maxRetainedCapacity = 64 << 10

    /// Returns ``wire`` for an asynchronous write, and replaces it with an empty buffer.
    package func takeWire() -> ByteBuffer {
        defer { wire = ByteBuffer() }
        return wire
    }

    /// Flushes all bytes, and ends TLS with a `close_notify` alert.
    package func finish() {
        guard isEstablished else { return }
        flush()
        tls?.finish(into: wire)
    }

    private func sendCompressed() {
        guard !compressed.isEmpty else { return }
        encrypt(compressed.bytes)
        compressed.clear()
    }

    private func encrypt(_ bytes: UnsafeRawBufferPointer) {
        if let tls { tls.encode(bytes, into: wire) } else { wire.append(bytes) }
    }
}
