import Dispatch
import Glibc
import Synchronization

/// Writes lines to a file descriptor on a dispatch queue, so that a slow reader does not block
/// callers.
///
/// Unwritten lines occupy at most ``maxPendingBytes``. If the reader is too slow, further lines are
/// dropped, and one line with their number is written instead. If the reader has closed the pipe,
/// all lines are discarded, and the process continues.
final class LineWriter: Sendable {
    /// The maximum size of all unwritten lines, in bytes.
    static let maxPendingBytes = 1 << 20

    private let descriptor: Int32
    private let queue = DispatchQueue(label: "tally.line-writer")
    private let state = Mutex(State())

    private struct State {
        var pending: [UInt8] = []
        var droppedLines = 0
        /// `true` while a call of `writePending` is queued or running.
        var isScheduled = false
    }

    /// - Parameter descriptor: the file descriptor to write to, which the caller owns and keeps
    ///   open.
    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Appends a newline to `line` and queues both for writing.
    func print(_ line: String) {
        let mustSchedule = state.withLock { state in
            guard state.pending.count + line.utf8.count < Self.maxPendingBytes else {
                state.droppedLines += 1
                return false
            }
            state.pending += line.utf8
            state.pending.append(0x0a)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { queue.async { [self] in writePending() } }
    }

    /// Blocks until all lines are written, but no longer than `timeout`.
    ///
    /// - Returns: `true` if all lines were written.
    @discardableResult
    func flush(timeout: DispatchTimeInterval = .seconds(1)) -> Bool {
        let written = DispatchSemaphore(value: 0)
        queue.async { written.signal() }
        return written.wait(timeout: .now() + timeout) == .success
    }

    private func writePending() {
        while let bytes = nextPending() { write(bytes) }
    }

    private func nextPending() -> [UInt8]? {
        state.withLock { state in
            if state.droppedLines > 0 {
                state.pending += "… \(state.droppedLines) lines dropped\n".utf8
                state.droppedLines = 0
            }
            guard !state.pending.isEmpty else {
                state.isScheduled = false
                return nil
            }
            defer { state.pending = [] }
            return state.pending
        }
    }

    private func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EAGAIN {
                // Standard error can be a terminal that another program has set to non-blocking
                // mode.
                var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = Glibc.poll(&poll, 1, 1_000)
            } else if count < 0, errno != EINTR {
                return
            } else {
                rest = rest.dropFirst(max(0, count))
            }
        }
    }
}
