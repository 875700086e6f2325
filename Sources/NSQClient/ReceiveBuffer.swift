import UVLoop

/// Memory that a connection reads frames into. Each batch retains the buffer of its messages.
///
/// A connection reads only into the memory after existing batches, so the bytes of a batch never
/// change, and any thread can access them.
final class ReceiveBuffer: @unchecked Sendable {
    // SAFETY: (of `@unchecked Sendable`) the pointer never changes, and the bytes of a batch never
    // change.
    let memory: UnsafeMutableRawBufferPointer
    /// Writes FIN to the connection of the messages from any thread; `nil` in tests.
    let directWriter: DirectWriter?

    init(byteCount: Int, directWriter: DirectWriter? = nil) {
        self.directWriter = directWriter
        memory = .allocate(byteCount: byteCount, alignment: 16)
    }

    deinit {
        memory.deallocate()
    }
}
