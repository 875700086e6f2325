import Glibc

/// Standard error, for people. Whether anybody reads it is none of a broker's business: a pipe
/// whose reader has gone must not end it, which is what `FileHandle` would do.
enum StandardError {
    static func print(_ line: String) {
        var bytes = Array((line + "\n").utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            guard written > 0 || errno == EINTR else { return }
            bytes = bytes.dropFirst(max(0, written))
        }
    }
}
