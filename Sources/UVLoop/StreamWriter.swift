/// Writes to a stream: first as many bytes as the socket buffer accepts, and the remaining bytes as
/// the socket buffer drains.
///
/// There are two ways to write. Either append to ``buffer`` and call ``flush()``: the writer owns
/// the bytes. Or write slices of another object's memory with ``write(_:owner:)``, without a copy.
package final class StreamWriter {
    /// The stream that the writer writes to.
    package let stream: Stream
    /// The bytes that the next ``flush()`` writes. Callers append to this array.
    package var buffer: [UInt8] = []
    /// The number of bytes that libuv has queued until the socket buffer accepts them. While it is
    /// above zero, the writer writes no other bytes.
    package private(set) var queuedByteCount = 0

    private let maxRetainedCapacity: Int
    private let onDrain: (UVError?) -> Void

    /// The outcome of a write.
    package enum Outcome: Equatable {
        /// The socket buffer has accepted all bytes.
        case written
        /// Some bytes are queued, and `onDrain` will run.
        case queued
        /// The connection is broken.
        case failed(UVError)
    }

    /// Creates a writer for `stream`.
    ///
    /// - Parameters:
    ///   - maxRetainedCapacity: a ``buffer`` of up to this capacity in bytes keeps its memory after
    ///     a flush; 0 by default, because many connections seldom write.
    ///   - onDrain: runs when queued bytes are written, or with an error if the write fails. The
    ///     writer retains the closure, and libuv retains the writer while bytes are queued.
    package init(
        _ stream: Stream, maxRetainedCapacity: Int = 0, onDrain: @escaping (UVError?) -> Void
    ) {
        self.stream = stream
        self.maxRetainedCapacity = maxRetainedCapacity
        self.onDrain = onDrain
    }

    /// `true` while bytes of an earlier write are queued.
    package var isBlocked: Bool { queuedByteCount > 0 }

    /// The number of bytes that the socket buffer has not accepted yet.
    package var unsentByteCount: Int { buffer.count + queuedByteCount }

    /// Writes ``buffer``, unless bytes of an earlier write are still queued.
    package func flush() -> Outcome {
        guard !isBlocked else { return .queued }
        guard !buffer.isEmpty else { return .written }
        let outcome = buffer.withUnsafeBytes { writeCopyingRest(of: $0) }
        buffer.removeAll(keepingCapacity: buffer.capacity <= maxRetainedCapacity)
        return outcome
    }

    /// Writes slices of memory that `owner` owns.
    ///
    /// - Parameters:
    ///   - slices: the bytes to write.
    ///   - owner: keeps the memory of the slices valid; libuv retains `owner` until the slices are
    ///     written.
    ///
    /// - Precondition: the writer is not blocked, and there are at most `Stream.maxSlices` slices.
    package func write(_ slices: [IOSlice], owner: Any) -> Outcome {
        switch slices.withUnsafeBufferPointer({ tryWrite($0) }) {
        case .failed(let error): return .failed(error)
        case .wrote(let count):
            let rest = slices.dropFirst(bytes: count)
            guard !rest.isEmpty else { return .written }
            rest.withUnsafeBufferPointer { queue($0, owner: owner) }
            return .queued
        }
    }

    /// Writes as many bytes as the socket buffer accepts without blocking, and queues nothing.
    package func tryWrite(_ slices: UnsafeBufferPointer<IOSlice>) -> TryWriteOutcome {
        stream.tryWrite(slices)
    }

    /// Queues slices in libuv, most often those that ``tryWrite(_:)`` did not write.
    ///
    /// - Parameter owner: keeps the memory of the slices valid; libuv retains `owner` until they
    ///   are written.
    package func queue(_ slices: UnsafeBufferPointer<IOSlice>, owner: Any) {
        queuedByteCount += slices.reduce(0) { $0 + $1.count }
        stream.write(slices) { error in
            withExtendedLifetime(owner) {
                self.queuedByteCount = 0
                self.onDrain(error)
            }
        }
    }

    private func writeCopyingRest(of bytes: UnsafeRawBufferPointer) -> Outcome {
        switch IOSlice.withSlice(of: bytes, tryWrite) {
        case .failed(let error): return .failed(error)
        case .wrote(bytes.count): return .written
        case .wrote(let count):
            // An array's memory has a fixed address only during a call; libuv needs it until the
            // write ends.
            let copy = MemoryCopy(of: UnsafeRawBufferPointer(rebasing: bytes[count...]))
            IOSlice.withSlice(of: copy.bytes) { queue($0, owner: copy) }
            return .queued
        }
    }
}

/// A copy of bytes that keeps its address until the object is deallocated.
private final class MemoryCopy {
    let bytes: UnsafeRawBufferPointer

    init(of source: UnsafeRawBufferPointer) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 1)
        memory.copyMemory(from: source)
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { bytes.deallocate() }
}

extension [IOSlice] {
    /// Returns the slices without their first `count` bytes.
    fileprivate func dropFirst(bytes count: Int) -> [IOSlice] {
        var rest = count
        var slices = self[...]
        while let first = slices.first, rest >= first.count {
            rest -= first.count
            slices.removeFirst()
        }
        if rest > 0, let first = slices.popFirst() {
            return [IOSlice(base: first.base + rest, count: first.count - rest)] + slices
        }
        return Array(slices)
    }
}
