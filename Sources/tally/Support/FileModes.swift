import Glibc
import UVLoop

/// The permissions of new files and folders.
enum FileModes {
    /// The file mode creation mask with which the process was started.
    private static let inherited = LockedValue<mode_t?>(nil)

    /// Makes all new files private: files are created with mode 0600, folders with mode 0700.
    static func makePrivate() {
        let mask = umask(0o077)
        inherited.withLock { $0 = $0 ?? mask }
    }

    /// Creates new files and folders with the mask with which the process was started. For commands
    /// whose files other programs read.
    static func restoreInherited() {
        if let mask = inherited.withLock({ $0 }) { umask(mask) }
    }
}
