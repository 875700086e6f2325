import Glibc
import UVLoop

/// Prevents a second processor from opening the same store.
///
/// It holds an open file description lock on the database file itself. So it works for every path,
/// symbolic link or hard link through which a process opens the store. The kernel releases the lock
/// when the process ends in any way. The locked byte is far beyond the bytes that SQLite locks, so
/// other programs can read the store. On file systems without such locks, only the check of the
/// owner in each commit protects the store.
///
/// - SeeAlso: fcntl(2), “Open file description locks”.
final class StoreLock: Sendable {
    /// The files that this process has locked. When a process closes any descriptor of a file, the
    /// kernel releases the POSIX locks that SQLite has on the file. So this process must not open
    /// such a file a second time.
    private static let locked = LockedValue<Set<FileIdentity>>([])

    /// The value of `F_OFD_SETLK`, which glibc defines only for programs with GNU extensions.
    private static let setLock: Int32 = 37

    /// The descriptor that holds the lock; `nil` after the release.
    private let descriptor: LockedValue<Int32?>
    private let identity: FileIdentity
    /// `true` if this object has created the file.
    let hasCreatedFile: Bool

    /// Acquires the lock, and creates the file if it does not exist.
    ///
    /// - Throws: `StoreError` of kind `inUse` if another processor holds the lock.
    init(for path: String) throws(StoreError) {
        if let identity = FileIdentity(of: path),
            Self.locked.withLock({ $0.contains(identity) })
        {
            throw StoreError(.inUse, path: path)
        }
        var (file, hasCreatedFile) = try Self.lockedFile(at: path)
        // A process that could not start removes its file and releases the lock. So the file that
        // is locked now may no longer be the file at the path.
        while FileIdentity(of: path) != FileIdentity(ofOpen: file) {
            close(file)
            (file, hasCreatedFile) = try Self.lockedFile(at: path)
        }
        descriptor = LockedValue(file)
        identity = FileIdentity(ofOpen: file)
        self.hasCreatedFile = hasCreatedFile
        Self.locked.withLock { [identity] in _ = $0.insert(identity) }
    }

    private static func lockedFile(
        at path: String
    ) throws(StoreError) -> (descriptor: Int32, isNew: Bool) {
        var file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        let isNew = file >= 0
        if file < 0, errno == EEXIST { file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
        guard file >= 0 else {
            let kind: StoreError.Kind =
                [EACCES, EPERM, EROFS].contains(errno) ? .readOnly : .cannotOpen
            throw StoreError(kind, path: path, detail: systemErrorText())
        }
        var lock = Self.lock(F_WRLCK)
        guard fcntl(file, setLock, &lock) == 0 || ![EAGAIN, EACCES].contains(errno) else {
            close(file)
            throw StoreError(.inUse, path: path)
        }
        return (file, isNew)
    }

    /// The locked byte, which is beyond the bytes that SQLite locks.
    private static func lock(_ type: Int32) -> flock {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = 1 << 62
        lock.l_len = 1
        return lock
    }

    /// Releases the lock. Close the database first.
    func release() {
        let file = descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
        guard let file else { return }
        Self.locked.withLock { _ = $0.remove(identity) }
        // The lock is released explicitly: after a mere `close`, a child process between `fork` and
        // `exec` would still hold it through its copy of the descriptor.
        var lock = Self.lock(F_UNLCK)
        _ = fcntl(file, Self.setLock, &lock)
        close(file)
    }

    deinit {
        release()
    }
}
