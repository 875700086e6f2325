import Foundation

/// Locks a database as another SQLite process does, with a POSIX lock.
///
/// - SeeAlso: SQLite, “Database File Format”, 1.3.1 The Lock-Byte Page.
final class ForeignLock {
    private let descriptor: Int32

    init(on path: String, at start: off_t = 0x4000_0000, length: off_t = 512) throws {
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = start
        lock.l_len = length
        guard fcntl(descriptor, F_SETLK, &lock) == 0 else {
            close(descriptor)
            throw POSIXError(.EAGAIN)
        }
    }

    /// Locks the writers of a database with a write-ahead log: byte 120 of the log's index.
    ///
    /// - Returns: `nil` if a writer has the lock at this moment.
    static func ofWriters(_ store: String) -> ForeignLock? {
        try? ForeignLock(on: store + "-shm", at: 120, length: 1)
    }

    func release() { close(descriptor) }
}
