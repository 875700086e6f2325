import Glibc

/// Plays from a file or standard input, a message a line, good or bad: judging them is the
/// processor's work. Empty lines are no messages.
///
/// Reads are blocking and 64 KiB each, so a pipe that is still being written to works too.
package struct PlayFile: ~Copyable {
    /// A line may be this long. nsqd takes no longer message by default.
    package static let lineBytes = 1_048_576

    private let descriptor: Int32
    private let name: String
    private var lines = LineSplitter()
    private var isAtEnd = false

    /// - Parameter path: `-` is standard input.
    package init(path: String) throws(PlayFileError) {
        name = path
        descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: systemReason()) }
    }

    deinit {
        close(descriptor)
    }

    /// The next message, or `nil` after the last.
    package mutating func next() throws(PlayFileError) -> [UInt8]? {
        while true {
            let line = lines.next()
            guard line?.count ?? lines.waitingBytes <= PlayFile.lineBytes else {
                throw .lineTooLong(path: name, line: line == nil ? lines.number + 1 : lines.number)
            }
            if let line { return line }
            guard !isAtEnd else { return lines.rest() }
            try readMore()
        }
    }

    private mutating func readMore() throws(PlayFileError) {
        var count = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, length in
            repeat {
                count = read(descriptor, buffer.baseAddress, buffer.count)
            } while count < 0 && errno == EINTR
            length = max(0, count)
        }
        guard count >= 0 else { throw .unreadable(path: name, reason: systemReason()) }
        isAtEnd = count == 0
        lines.append(chunk)
    }
}

package enum PlayFileError: Error, Equatable, CustomStringConvertible {
    case unreadable(path: String, reason: String)
    case lineTooLong(path: String, line: Int)

    package var description: String {
        switch self {
        case .unreadable(let path, let reason):
            "cannot read plays from \(path) (\(reason)): give a file of plays, a line each, or -"
        case .lineTooLong(let path, let line):
            "line \(line) of \(path) is longer than \(PlayFile.lineBytes) bytes: no nsqd takes it"
        }
    }
}

/// Cuts chunks, as they come, into lines.
struct LineSplitter {
    private(set) var number = 0
    private var waiting: [UInt8] = []
    private var start = 0

    var waitingBytes: Int { waiting.count - start }

    mutating func append(_ chunk: [UInt8]) {
        waiting.removeFirst(start)
        start = 0
        waiting.append(contentsOf: chunk)
    }

    /// The next whole line that is not empty, without its newline.
    mutating func next() -> [UInt8]? {
        while let end = waiting[start...].firstIndex(of: .newline) {
            let line = line(upTo: end)
            start = end + 1
            if !line.isEmpty { return line }
        }
        return nil
    }

    /// What no newline ended.
    mutating func rest() -> [UInt8]? {
        let line = line(upTo: waiting.count)
        start = waiting.count
        return line.isEmpty ? nil : line
    }

    private mutating func line(upTo end: Int) -> [UInt8] {
        number += 1
        let line = waiting[start..<end]
        return Array(line.last == .carriageReturn ? line.dropLast() : line)
    }
}

func systemReason() -> String {
    String(cString: strerror(errno))
}
