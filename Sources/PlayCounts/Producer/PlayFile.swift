import Glibc
import TallyBasics

/// Reads messages from a file or standard input, one per line, without parsing them. Empty lines
/// and a byte order mark at the start are skipped.
///
/// Each read blocks until some bytes are available, and returns up to 64 KiB. So it can also read a
/// pipe.
package struct PlayFile: ~Copyable {
    /// The maximum length of a line in bytes, which equals nsqd's default limit of a message.
    package static let lineBytes = 1_048_576

    /// Reads the file on any thread.
    package struct ChunkReader: Sendable {
        /// The maximum length of a chunk in bytes.
        package static let chunkBytes = 65_536

        package let descriptor: Int32
        fileprivate let name: String

        /// Blocks until some bytes are available, and returns them; none at the end of the file.
        package func read() throws(PlayFileError) -> [UInt8] {
            var count = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: Self.chunkBytes) { buffer, length in
                repeat {
                    count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                } while count < 0 && errno == EINTR
                length = max(0, count)
            }
            guard count >= 0 else { throw .unreadable(path: name, reason: systemErrorText()) }
            return chunk
        }
    }

    package let chunks: ChunkReader
    private var lines = LineSplitter()
    /// Whether the end of the file was read.
    package private(set) var isAtEnd = false
    /// The number of bytes that were read after the last newline.
    package var pendingBytes: Int { lines.pendingBytes }

    /// - Parameter path: the path of the file, or `-` for standard input.
    package init(path: String) throws(PlayFileError) {
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        chunks = ChunkReader(descriptor: descriptor, name: path)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: systemErrorText()) }
    }

    deinit {
        close(chunks.descriptor)
    }

    /// Reads the next message. Returns `nil` at the end of the file.
    package mutating func next() throws(PlayFileError) -> [UInt8]? {
        while true {
            if let line = try nextBuffered() { return line }
            guard !isAtEnd else { return nil }
            append(try chunks.read())
        }
    }

    /// Returns the next message without reading the file. Returns `nil` if no complete line has been
    /// read. The last line of the file is complete without a newline.
    package mutating func nextBuffered() throws(PlayFileError) -> [UInt8]? {
        let line = lines.next()
        guard line?.count ?? lines.pendingBytes <= PlayFile.lineBytes else {
            throw .lineTooLong(
                path: chunks.name, line: line == nil ? lines.number + 1 : lines.number)
        }
        return line == nil && isAtEnd ? lines.removeRest() : line
    }

    /// Appends a chunk that ``chunks`` has read.
    package mutating func append(_ chunk: [UInt8]) {
        isAtEnd = chunk.isEmpty
        lines.append(chunk)
    }
}

/// The reason why a file of plays cannot be read.
package enum PlayFileError: Error, Equatable, CustomStringConvertible {
    case unreadable(path: String, reason: String)
    case lineTooLong(path: String, line: Int)

    package var description: String {
        switch self {
        case .unreadable(let path, let reason):
            "cannot read plays from '\(path)': \(reason)"
        case .lineTooLong(let path, let line):
            "cannot read plays from '\(path)': line \(line) is longer than "
                + counted(PlayFile.lineBytes, "byte")
        }
    }
}

/// Splits a sequence of chunks into lines.
struct LineSplitter {
    /// The number of the last returned line, from 1.
    private(set) var number = 0
    private var pending: [UInt8] = []
    private var start = 0

    /// The number of bytes of the incomplete line at the end.
    var pendingBytes: Int { pending.count - start }

    mutating func append(_ chunk: [UInt8]) {
        pending.removeFirst(start)
        start = 0
        pending.append(contentsOf: chunk)
    }

    /// Returns the next complete line that is not empty, without its newline.
    mutating func next() -> [UInt8]? {
        while let end = pending[start...].firstIndex(of: .newline) {
            let line = line(upTo: end)
            start = end + 1
            if !line.isEmpty { return line }
        }
        return nil
    }

    /// Returns the incomplete line at the end, or `nil` if it is empty.
    mutating func removeRest() -> [UInt8]? {
        let line = line(upTo: pending.count)
        start = pending.count
        return line.isEmpty ? nil : line
    }

    private mutating func line(upTo end: Int) -> [UInt8] {
        number += 1
        var line = pending[start..<end]
        if number == 1, line.hasByteOrderMark { line = line.dropFirst(3) }
        return Array(line.last == .carriageReturn ? line.dropLast() : line)
    }
}

/// The text of `errno`.
func systemErrorText() -> String {
    String(cString: strerror(errno))
}
