import Transport
import UVLoop

/// Sends the bytes of an HTTP connection, encrypted if the connection uses TLS.
final class HTTPOutput {
    /// The connection's stream.
    var stream: Stream { writer.stream }
    private let writer: StreamWriter
    private let layers: LayeredStream?
    /// Appended bytes that TLS has not encrypted yet.
    private var plain: [UInt8] = []

    /// - Parameters:
    ///   - layers: the TLS layer; `nil` for a plain connection.
    ///   - onDrain: runs when all bytes that ``flush()`` has queued are written, or with an error
    ///     if the write fails.
    init(
        to stream: Stream, through layers: LayeredStream? = nil,
        onDrain: @escaping (UVError?) -> Void
    ) {
        writer = StreamWriter(stream, onDrain: onDrain)
        self.layers = layers
    }

    /// The number of bytes that the socket buffer has not accepted yet.
    var unsentByteCount: Int {
        plain.count + (layers?.wire.count ?? 0) + writer.unsentByteCount
    }

    /// Calls `write` to append bytes, which the next ``flush()`` sends.
    func append(_ write: (inout [UInt8]) -> Void) {
        layers == nil ? write(&writer.buffer) : write(&plain)
    }

    /// Sends the appended bytes, and any TLS handshake and alert records.
    func flush() -> StreamWriter.Outcome {
        guard !writer.isBlocked else { return .queued }
        layers?.encode(&plain, to: &writer.buffer)
        return writer.flush()
    }
}
