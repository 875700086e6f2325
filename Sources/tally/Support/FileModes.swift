import Glibc
import UVLoop

/// The permissions of new files and folders.
enum FileModes {
    /// The file mode creation mask with which the process was started.
    private static let inherited = LockedValue<mode_t?>(nil)

    /// Gives new files the mode 0600 and new folders the mode 0700.
    static func makePrivate() {
        let mask = umask(0o077)
        inherited.withLock { $0 = $0 ?? mask }
    }

    /// Gives new files and folders the modes that the user has chosen with `umask`, for files that
    /// other programs read.
    static func restoreInherited() {
        if let mask = inherited.withLock({ $0 }) { umask(mask) }
    }
}
