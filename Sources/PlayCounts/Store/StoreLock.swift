import Glibc
import UVLoop

/// Prevents a second processor from opening the same store.
///
/// It holds an open file description lock on the database itself, so it does not matter by which
/// path, symbolic link or hard link a process opens the store. The kernel releases it when the
/// process ends in any way. The lock is far behind the bytes that SQLite locks, so other programs
/// can read the store. Where the file system does not support such locks, only the check of
/// the owner in each commit remains.
///
/// - SeeAlso: fcntl(2), “Open file description locks”.
final class StoreLock: Sendable {
    /// The files that this process has locked. SQLite's POSIX locks of a file are released when
    /// the process closes any descriptor of the file, so a file is not opened a second time.
    private static let locked = LockedValue<Set<FileIdentity>>([])

    /// The value of `F_OFD_SETLK`, which glibc defines only for programs with GNU extensions.
    private static let setLock: Int32 = 37

    /// The descriptor that has the lock; `nil` after the release.
    private let descriptor: LockedValue<Int32?>
    private let identity: FileIdentity
    /// `true` if there was no file before.
    let hasCreatedFile: Bool

    /// Takes the lock, and creates the file if it does not exist.
    ///
    /// - Throws: `StoreError` of kind `inUse` if another processor has the lock.
    init(for path: String) throws(StoreError) {
        if let identity = FileIdentity(of: path),
            Self.locked.withLock({ $0.contains(identity) })
        {
            throw StoreError(.inUse, path: path)
        }
        var (file, hasCreatedFile) = try Self.lockedFile(at: path)
        // The process that had the lock may have removed the file, because it could not start.
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

    /// The byte that is locked, which is behind those that SQLite locks.
    private static func lock(_ type: Int32) -> flock {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = 1 << 62
        lock.l_len = 1
        return lock
    }

    /// Releases the lock. SQLite must have closed the database before.
    func release() {
        let file = descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
        guard let file else { return }
        Self.locked.withLock { _ = $0.remove(identity) }
        // Closing alone keeps the lock while a child process has a copy of the descriptor, as it
        // does between `fork` and `exec`.
        var lock = Self.lock(F_UNLCK)
        _ = fcntl(file, Self.setLock, &lock)
        close(file)
    }

    deinit {
        release()
    }
}

/// A file, whatever its name: the numbers of the device and the inode.
struct FileIdentity: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64

    /// The identity of the file at `path`; `nil` if there is none.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// The identity of an open file.
    init(ofOpen descriptor: Int32) {
        var status = stat()
        let result = fstat(descriptor, &status)
        precondition(result == 0, "fstat(2) fails only for a descriptor that is not open")
        self.init(status)
    }

    private init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}
