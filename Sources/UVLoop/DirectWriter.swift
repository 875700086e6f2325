import CLibuv
import Glibc

/// Writes short commands to a stream's socket from any thread, without a wake-up of the loop.
///
/// A lock excludes the writes of other threads and those of the loop, so that the bytes of two
/// commands never mix. A direct write can overtake commands that the loop has not written yet. Only
/// commands that are independent of those commands may be written directly.
package final class DirectWriter: Sendable {
    private struct State {
        /// The socket; `nil` while direct writes are not allowed.
        var descriptor: Int32?
        /// `true` while the loop has bytes of its own that the socket buffer did not accept.
        var isBlocked = false
        /// The rest of a direct write of which the socket buffer accepted only the first bytes.
        var rest: [UInt8] = []
    }

    private let state = LockedValue(State())

    /// The outcome of a direct write.
    package enum Outcome: Equatable {
        /// The socket buffer has accepted all bytes.
        case written
        /// The socket buffer has accepted some bytes. The loop must call ``flush(_:)`` for the rest.
        case partlyWritten
        /// Nothing was written, because direct writes are not allowed now, the socket buffer is
        /// full, or the connection is broken. The caller writes on the loop instead.
        case refused
    }

    /// Creates a writer that refuses writes.
    package init() {}

    // MARK: Any thread

    /// Writes `bytes` unless the loop has unsent bytes.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        state.withLock { state in
            guard let descriptor = state.descriptor, !state.isBlocked, state.rest.isEmpty else {
                return .refused
            }
            let count = send(
                descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return .refused }
            guard count < bytes.count else { return .written }
            state.rest = Array(bytes[count...])
            return .partlyWritten
        }
    }

    // MARK: The loop's thread

    /// Allows direct writes to `stream` until ``close()``.
    package func open(_ stream: Stream) {
        let descriptor = stream.descriptor
        state.withLock { $0.descriptor = descriptor }
    }

    /// Refuses direct writes from now on. The owner must call this method before it closes the
    /// stream.
    package func close() {
        state.withLock { $0.descriptor = nil }
    }

    /// Writes the rest of a direct write and then the writer's buffer, while other threads do not
    /// write.
    package func flush(_ writer: StreamWriter) -> StreamWriter.Outcome {
        state.withLock { state in
            if !state.rest.isEmpty {
                writer.buffer.insert(contentsOf: state.rest, at: 0)
                state.rest = []
            }
            let outcome = writer.flush()
            state.isBlocked = writer.isBlocked
            return outcome
        }
    }
}

extension Stream {
    /// The socket's file descriptor; `nil` for a closed stream.
    fileprivate var descriptor: Int32? {
        var descriptor: Int32 = -1
        guard !isClosing, uv_fileno(handle, &descriptor) == 0 else { return nil }
        return descriptor
    }
}
