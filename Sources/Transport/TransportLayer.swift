/// A transformation of a connection's bytes, such as TLS or compression, between plain bytes and
/// encoded bytes. A layer accesses no socket and no clock.
package protocol TransportLayer: AnyObject {
    /// `true` after the peer has ended its stream.
    var hasEnded: Bool { get }

    /// Decodes bytes from the start of `wire`, and appends the result to `plain`. The decoded bytes
    /// are removed from `wire`.
    ///
    /// - Parameter limit: the approximate maximum number of appended bytes. The limit bounds the
    ///   memory per call, because a few compressed bytes can decode to megabytes.
    /// - Returns: `true` if another call can append more plain bytes now, even if `wire` is empty.
    /// - Throws: an error if the bytes are invalid. The layer then cannot decode any more bytes.
    func decode(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int
    ) throws(TransportError) -> Bool

    /// Encodes `plain`, and appends the result to `wire`. Part of the result may be held back until
    /// ``flush(into:)``.
    func encode(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer)

    /// Appends the encoded bytes that ``encode(_:into:)`` has held back, so that the peer can
    /// decode all bytes sent so far.
    func flush(into wire: ByteBuffer)
}
