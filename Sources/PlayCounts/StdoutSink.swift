import Glibc

/// Writes each call as one line of JSON to standard output.
///
/// A reader that stalls must not hold the loop up, and a pipe's other end may not like the
/// non-blocking mode that it would share. So this asks first: `poll` calls a pipe writable only
/// if `PIPE_BUF` bytes (4096 here) fit, and a call of twenty videos takes half of that.
///
/// A reader that has gone shows as an error only if SIGPIPE is ignored.
package final class StdoutSink: Sink {
    private let descriptor: Int32
    private var line: [UInt8] = []

    package init(descriptor: Int32 = STDOUT_FILENO) {
        self.descriptor = descriptor
    }

    package func send(
        _ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void
    ) {
        guard isWritable(withinMilliseconds: 0) else { return answer(.failure(.busy)) }
        line.removeAll(keepingCapacity: true)
        call.appendJSON(to: &line)
        line.append(.newline)
        answer(Result { () throws(SinkError) in try writeLine() })
    }

    /// Whether a write would not wait. One that would fail does not wait either.
    private func isWritable(withinMilliseconds patience: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&request, 1, patience) != 0
    }

    /// Half a line would spoil the next one too, so once begun it is brought to its end.
    private func writeLine() throws(SinkError) {
        var start = 0
        while start < line.count {
            let written = line[start...].withUnsafeBytes {
                write(descriptor, $0.baseAddress, $0.count)
            }
            if written >= 0 {
                start += written
            } else if errno == EAGAIN {
                _ = isWritable(withinMilliseconds: -1)  // whoever shares it made it non-blocking
            } else if errno != EINTR {
                throw .unreachable(systemReason())
            }
        }
    }
}
