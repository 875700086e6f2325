/// Memory that frames are read into, and that the batches read from it keep alive.
///
/// A connection writes only behind the bytes of the batches it has handed out, so those never
/// change while a batch lasts, on whatever thread it is.
final class ReadBlock: @unchecked Sendable {
    // SAFETY: (of `@unchecked Sendable`) the pointer never changes; of the bytes see above.
    let memory: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        memory = .allocate(byteCount: byteCount, alignment: 16)
    }

    deinit {
        memory.deallocate()
    }
}
