import Glibc

/// Keeps a second processor away from a store for as long as this lives.
///
/// An `flock` on a file beside the database, which outlives its process by no moment, however
/// that ends. Not on the database itself: SQLite holds POSIX locks there, and POSIX drops them
/// when any descriptor of the file is closed. Readers with SQLite's own tools need no lock.
final class StoreLock: Sendable {
    private let descriptor: Int32

    init(for path: String) throws(StoreError) {
        let file = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else {
            let kind: StoreError.Kind =
                [EACCES, EPERM, EROFS].contains(errno) ? .readOnly : .cannotOpen
            throw StoreError(kind, path: path, detail: systemReason())
        }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let kind: StoreError.Kind = errno == EWOULDBLOCK ? .inUse : .cannotOpen
            defer { close(file) }
            throw StoreError(kind, path: path, detail: systemReason())
        }
        descriptor = file
    }

    func release() {
        flock(descriptor, LOCK_UN)
    }

    deinit {
        close(descriptor)
    }
}
