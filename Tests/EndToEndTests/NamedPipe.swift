import Foundation

/// A named pipe whose two ends this process holds, for the input or the output of another process.
final class NamedPipe {
    let path: String
    private var descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        guard mkfifo(path, 0o600) == 0 else { throw POSIXError(.EIO) }
        // With both ends, neither end waits for the other at opening.
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw POSIXError(.EIO) }
    }

    deinit { close() }

    func write(_ text: some StringProtocol) throws {
        let bytes = Array(text.utf8)
        // A pipe holds 64 KiB, and takes the bytes at once or blocks until they are read.
        guard Foundation.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw POSIXError(.EIO)
        }
    }

    /// Reads what the other process has left in the pipe.
    func readRest() throws -> String {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        var rest: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            rest += chunk[..<count]
        }
        return String(decoding: rest, as: UTF8.self)
    }

    /// Ends the input of the other process. It must have opened the pipe before.
    func close() {
        if descriptor >= 0 { Foundation.close(descriptor) }
        descriptor = -1
    }
}
