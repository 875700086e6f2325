/// Bytes in a row: added behind, taken from the front.
///
/// A class, so that a buffer handed to the loop for a slow write stays where it is. An empty one
/// holds no memory: thousands of quiet connections have several each.
package final class ByteBuffer {
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    // INVARIANT: 0 <= start <= end <= memory.count, and start < end or both are 0.
    private var start = 0
    private var end = 0

    package init() {}

    deinit { memory.deallocate() }

    package var count: Int { end - start }
    package var isEmpty: Bool { start == end }

    /// What is there. Valid until the buffer changes.
    package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[start..<end])
    }

    package func append(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        append(atLeast: bytes.count) { room in
            room.copyMemory(from: bytes)
            return bytes.count
        }
    }

    package func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Lets `write` put bytes behind the others.
    ///
    /// - Parameters:
    ///   - leastRoom: how many bytes must find room; there may be room for more.
    ///   - write: returns how many bytes it has put.
    package func append(
        atLeast leastRoom: Int, _ write: (UnsafeMutableRawBufferPointer) -> Int
    ) {
        makeRoom(leastRoom)
        let written = write(UnsafeMutableRawBufferPointer(rebasing: memory[end...]))
        precondition(written <= memory.count - end, "no more is written than there is room for")
        end += written
        if isEmpty { clear() }
    }

    /// Makes room for so many more at once, instead of by and by.
    package func reserve(_ room: Int) { makeRoom(room) }

    /// Lets go of the first `count` bytes.
    package func consume(_ count: Int) {
        precondition(count <= self.count, "no more is taken than there is")
        start += count
        if isEmpty { clear() }
    }

    package func clear() {
        memory.deallocate()
        memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        start = 0
        end = 0
    }

    private func makeRoom(_ room: Int) {
        guard memory.count - end < room else { return }
        let kept = bytes
        if kept.count + room <= memory.count, start >= kept.count {
            memory.copyMemory(from: kept)
        } else {
            let wider = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(Self.leastCapacity, memory.count * 2, kept.count + room),
                alignment: 16)
            wider.copyMemory(from: kept)
            memory.deallocate()
            memory = wider
        }
        end = kept.count
        start = 0
    }

    private static let leastCapacity = 512
}
