import Glibc
import Synchronization

/// Prints a line to standard output. In this module, this function takes precedence over `print` of
/// the standard library, which ignores errors.
func print(_ line: String) { StandardOutput.print(line) }

/// Writes lines to standard output, and stores the first error.
enum StandardOutput {
    /// The `errno` of the first error; `nil` if all lines were written.
    private static let failure = Mutex<Int32?>(nil)

    static func print(_ line: String) {
        write(Array(line.utf8) + [UInt8(ascii: "\n")])
    }

    /// Writes bytes.
    ///
    /// - Returns: `true` if these and all earlier bytes were written.
    @discardableResult
    static func write(_ bytes: [UInt8]) -> Bool {
        var left = bytes[...]
        return failure.withLock { failure in
            while !left.isEmpty, failure == nil {
                let count = left.withUnsafeBytes {
                    Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count)
                }
                if count < 0, errno != EINTR { failure = errno }
                left = left.dropFirst(max(0, count))
            }
            return failure == nil
        }
    }

    /// Reports the first error, if there was one.
    ///
    /// - Parameter status: the exit status of the command.
    /// - Returns: `status` if all lines were written. If the reader has closed the pipe, the status
    ///   of a process that SIGPIPE has ended; no message is printed. After any other error,
    ///   `status` or 1, whichever is higher; the error is printed.
    static func reportFailure(endingWith status: Int32) -> Int32 {
        guard let error = failure.withLock({ $0 }) else { return status }
        guard error != EPIPE else { return 128 + SIGPIPE }
        StandardError.print(
            "Error: cannot write to standard output: \(String(cString: strerror(error)))")
        return max(1, status)
    }
}
