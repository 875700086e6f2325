import BrokerCore
import Glibc
import NSQWire

/// What is done with folders and files alike by who writes to them and who only reads.
enum Files {
    /// What stands in a folder, in no order.
    static func names(in folder: String) throws(LedgerError) -> [String] {
        guard let listing = opendir(folder) else { throw failure("cannot list", folder) }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    static func byteCount(of descriptor: Int32, _ path: String) throws(LedgerError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("cannot stat", path) }
        return Int(status.st_size)
    }

    /// - Returns: how many bytes it read: fewer than asked for only at the file's end.
    static func read(
        _ descriptor: Int32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
        _ path: String
    ) throws(LedgerError) -> Int {
        var total = 0
        while total < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress! + total, buffer.count - total, offset + total)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot read", path) }
            guard count > 0 else { break }
            total += count
        }
        return total
    }

    /// What the last call into the system could not do, and why.
    static func failure(_ what: String, _ path: String) -> LedgerError {
        LedgerError("\(what) \(path): \(String(cString: strerror(errno)))")
    }
}

/// A folder that only reads are done in, and that nobody else writes to meanwhile.
final class QuietFolder {
    let path: String
    private let descriptor: Int32

    /// - Throws: if it is not there, or a broker works with it.
    init(_ path: String) throws(LedgerError) {
        self.path = path
        descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Files.failure("cannot open", path) }
        // Brokers, nsqd too, lock it for themselves; readers share it.
        guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else {
            // All of it is there already, so its deinit closes the descriptor, too.
            let isTaken = errno == EWOULDBLOCK
            let failure = Files.failure("cannot lock", path)
            throw isTaken ? LedgerError("a broker works with \(path): stop it first") : failure
        }
    }

    deinit { close(descriptor) }

    func names() throws(LedgerError) -> [String] { try Files.names(in: path) }

    /// Opens a file for reading; the caller closes it.
    func open(_ name: String) throws(LedgerError) -> Int32 {
        let file = openat(descriptor, name, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Files.failure("cannot open", "\(path)/\(name)") }
        return file
    }
}
