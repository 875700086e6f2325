/// One layer of a connection: what is plain above it has another form below. No socket, no clock.
package protocol Layer: AnyObject {
    /// The peer has said that nothing more will come.
    var hasEnded: Bool { get }

    /// Takes from the front of `wire` and appends what it means to `plain`.
    ///
    /// - Parameter limit: about how many bytes to append at most. A few bytes may stand for
    ///   megabytes: who asks for a limited portion at a time never holds them all.
    /// - Returns: whether there is more at once: call again, even if `wire` is empty by now.
    /// - Throws: if the bytes make no sense. Nothing is to be taken in after that.
    func incoming(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int
    ) throws(TransportError) -> Bool

    /// Appends the form of `plain` to `wire`: some of it now, the rest with ``flush(into:)`` at the
    /// latest.
    func outgoing(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer)

    /// Appends what ``outgoing(_:into:)`` has held back, so that the peer can read all there was.
    func flush(into wire: ByteBuffer)
}
