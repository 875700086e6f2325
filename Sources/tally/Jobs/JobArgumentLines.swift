import Glibc
import NSQJobs

/// The lines of a file or of standard input, each with the arguments of one job.
struct JobArgumentLines: ~Copyable {
    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    /// The number of bytes at the start of `buffer` that were already returned.
    private var position = 0
    private var isAtEnd = false
    private var lineNumber = 0

    /// Opens the file; `-` is standard input.
    ///
    /// - Throws: `UsageError` if it cannot be opened.
    init(path: String) throws {
        self.path = path
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.error("cannot open '\(path)'") }
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// Returns the next line that is not empty; `nil` at the end.
    ///
    /// - Throws: `UsageError` if the file cannot be read, or if a line is longer than the limit for
    ///   arguments.
    mutating func next() throws -> String? {
        while true {
            if let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: buffer[position..<end], as: UTF8.self)
                position = end + 1
                lineNumber += 1
                if !Self.isBlank(line) { return line }
            } else if isAtEnd {
                let rest = String(decoding: buffer[position...], as: UTF8.self)
                position = buffer.count
                return Self.isBlank(rest) ? nil : rest
            } else {
                try read()
            }
        }
    }

    private mutating func read() throws {
        buffer.removeSubrange(..<position)
        position = 0
        guard buffer.count <= NewJob.maxArgumentBytes else {
            throw UsageError(
                "line \(lineNumber + 1) of '\(path)' is longer than \(NewJob.maxArgumentBytes) bytes"
            )
        }
        let chunk = 64 << 10
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: chunk) { bytes, initialized in
            repeat {
                count = Glibc.read(descriptor, bytes.baseAddress, chunk)
            } while count < 0 && errno == EINTR
            initialized = max(0, count)
        }
        guard count >= 0 else { throw Self.error("cannot read '\(path)'") }
        isAtEnd = count == 0
        buffer += bytes
    }

    private static func isBlank(_ line: String) -> Bool {
        line.utf8.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }
    }

    private static func error(_ text: String) -> UsageError {
        UsageError("\(text): \(String(cString: strerror(errno)))")
    }
}
