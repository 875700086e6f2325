import BrokerCore
import Glibc
import NSQWire

/// A folder that is open for reading, and locked so that no broker can use it.
final class LockedFolder {
    let path: String
    let descriptor: Int32

    enum Lock {
        /// Several readers can hold the lock at the same time.
        case shared
        /// The lock that a broker holds, and nsqd too, while it uses the folder.
        case exclusive
    }

    /// Opens and locks a folder.
    ///
    /// - Throws: an error if the folder does not exist, or is locked by a broker.
    init(_ path: String, _ lock: Lock) throws(MessageLogError) {
        self.path = path
        descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileCalls.failure("cannot open", path) }
        guard flock(descriptor, (lock == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else {
            // The throw runs deinit, which closes the descriptor, because all properties are
            // initialized.
            let isTaken = errno == EWOULDBLOCK
            let failure = FileCalls.failure("cannot lock", path)
            guard isTaken else { throw failure }
            throw lock == .shared
                ? MessageLogError("\(path) is in use by a broker: stop it first")
                : MessageLogError(
                    "failed to lock data-path: cannot flock directory \(path) (possibly in use by "
                        + "another instance of nsqd)")
        }
    }

    deinit { FileCalls.unlockAndClose(descriptor) }

    /// Returns the names of entries for which `isIncluded` returns `true`, in no particular order.
    func names(where isIncluded: (String) -> Bool) throws(MessageLogError) -> [String] {
        try FileCalls.names(in: path, where: isIncluded)
    }

    /// Opens a regular file for reading; the caller closes it.
    func open(_ name: String) throws(MessageLogError) -> Int32 {
        try FileCalls.openRegular(name, in: descriptor, O_RDONLY, path)
    }
}
