import Glibc

/// Writes each call as one line of JSON to standard output.
///
/// The descriptor stays in blocking mode, because the mode is shared with all other processes that
/// have the descriptor. To avoid blocking the loop, the sink polls before each write: `poll`
/// reports a pipe as writable only if it has space for `PIPE_BUF` bytes (4,096 on Linux), and a
/// call with twenty videos takes half of that.
///
/// If the reader has exited, a call fails only if the process ignores SIGPIPE. Otherwise the signal
/// ends the process.
package final class StdoutSink: Sink {
    private let descriptor: Int32
    private var line: [UInt8] = []

    /// Creates a sink.
    ///
    /// - Parameter descriptor: the file descriptor to write to.
    package init(descriptor: Int32 = STDOUT_FILENO) {
        self.descriptor = descriptor
    }

    package func send(
        _ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void
    ) {
        guard isWritable(timeoutMilliseconds: 0) else { return completion(.failure(.busy)) }
        line.removeAll(keepingCapacity: true)
        call.appendJSON(to: &line)
        line.append(.newline)
        completion(Result { () throws(SinkError) in try writeLine() })
    }

    /// Returns `true` if a write would not block: it would either succeed or fail immediately.
    private func isWritable(timeoutMilliseconds: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&request, 1, timeoutMilliseconds) != 0
    }

    /// Writes the whole line, because a partial line would corrupt the next one.
    private func writeLine() throws(SinkError) {
        var start = 0
        while start < line.count {
            let written = line[start...].withUnsafeBytes {
                write(descriptor, $0.baseAddress, $0.count)
            }
            if written >= 0 {
                start += written
            } else if errno == EAGAIN {
                // Another process has set the shared descriptor to non-blocking mode.
                _ = isWritable(timeoutMilliseconds: -1)
            } else if errno != EINTR {
                throw .unreachable(systemErrorText())
            }
        }
    }
}
