/// A queue of bytes, appended at the end and consumed from the start.
///
/// The buffer is a class, so that the memory does not move while the loop writes the bytes to a
/// socket. An empty buffer holds no memory, because each of thousands of idle connections has
/// several buffers.
package final class ByteBuffer {
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    // INVARIANT: 0 <= start <= end <= memory.count, and start < end or both are 0.
    private var start = 0
    private var end = 0

    /// Creates an empty buffer.
    package init() {}

    deinit { memory.deallocate() }

    package var count: Int { end - start }
    /// `true` if the buffer contains no bytes.
    package var isEmpty: Bool { start == end }

    /// The bytes in the buffer, valid until the buffer changes.
    package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[start..<end])
    }

    /// Appends a copy of `bytes`.
    package func append(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        append(atLeast: bytes.count) { memory in
            memory.copyMemory(from: bytes)
            return bytes.count
        }
    }

    /// Appends a copy of `bytes`.
    package func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Appends bytes by letting a closure write to the buffer's memory.
    ///
    /// - Parameters:
    ///   - minCapacity: the minimum size of the memory that `write` receives, in bytes.
    ///   - write: a closure that writes to the memory and returns the number of written bytes.
    package func append(
        atLeast minCapacity: Int, _ write: (UnsafeMutableRawBufferPointer) -> Int
    ) {
        growTail(minCapacity)
        let written = write(UnsafeMutableRawBufferPointer(rebasing: memory[end...]))
        precondition(
            written <= memory.count - end, "a writer stays within the memory that it receives")
        end += written
        if isEmpty { clear() }
    }

    /// Reserves memory for `byteCount` more bytes, so that several appends cause one allocation.
    package func reserve(_ byteCount: Int) { growTail(byteCount) }

    /// Removes the first `count` bytes.
    package func consume(_ count: Int) {
        precondition(count <= self.count, "a caller consumes only bytes that are there")
        start += count
        if isEmpty { clear() }
    }

    /// Removes all bytes and frees the memory.
    package func clear() {
        memory.deallocate()
        memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        start = 0
        end = 0
    }

    private func growTail(_ byteCount: Int) {
        guard memory.count - end < byteCount else { return }
        let kept = bytes
        if kept.count + byteCount <= memory.count, start >= kept.count {
            memory.copyMemory(from: kept)
        } else {
            let wider = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(Self.minAllocation, memory.count * 2, kept.count + byteCount),
                alignment: 16)
            wider.copyMemory(from: kept)
            memory.deallocate()
            memory = wider
        }
        end = kept.count
        start = 0
    }

    private static let minAllocation = 512
}
