import GRDB

/// The reason why the store cannot be used, and the remedy. No plays are lost: messages are
/// finished only after their commit, so NSQ redelivers uncommitted messages.
package struct StoreError: Error, Equatable, Sendable {
    /// The kinds of errors, each with its own remedy.
    package enum Kind: Sendable {
        case newerVersion, readOnly, notAStore, inUse, full, cannotOpen, missing, damaged, failed
        /// The file of the open store was removed or replaced.
        case replaced
        /// Another processor has opened the store and owns it now.
        case takenOver
    }

    /// `true` if a later attempt to commit may succeed without a restart. Every error of a commit
    /// is transient except ``Kind/takenOver``.
    package var isTransient: Bool { kind != .takenOver }

    package let kind: Kind
    package let path: String
    package let detail: String

    package init(_ kind: Kind, path: String, detail: String = "") {
        self.kind = kind
        self.path = path
        self.detail = detail
    }

    init(_ error: any Error, path: String) {
        switch error {
        case let error as StoreError: self = error
        case let error as DatabaseError:
            self.init(Kind(error.resultCode), path: path, detail: error.message ?? "\(error)")
        default: self.init(.failed, path: path, detail: "\(error)")
        }
    }
}

extension StoreError.Kind {
    fileprivate init(_ code: ResultCode) {
        switch code {
        case .SQLITE_READONLY, .SQLITE_PERM: self = .readOnly
        case .SQLITE_NOTADB: self = .notAStore
        case .SQLITE_BUSY, .SQLITE_LOCKED: self = .inUse
        case .SQLITE_FULL: self = .full
        case .SQLITE_CANTOPEN: self = .cannotOpen
        case .SQLITE_CORRUPT: self = .damaged
        default: self = .failed
        }
    }
}

extension StoreError: CustomStringConvertible {
    package var description: String {
        switch kind {
        case .newerVersion:
            "cannot open store '\(path)': it was written by a newer version of tally (upgrade "
                + "tally, or pass another --store)"
        case .readOnly:
            "cannot write to store '\(path)': permission denied (change its permissions, or pass "
                + "another --store)"
        case .notAStore:
            "cannot open '\(path)': it is not a tally store (it was not changed; pass another "
                + "--store)"
        case .inUse:
            "cannot use store '\(path)': it is in use by another process (stop that process, or "
                + "pass another --store)"
        case .full:
            "cannot write to store '\(path)': no space left on device (free space)"
        case .cannotOpen:
            "cannot open store '\(path)': \(detail) (check that its folder exists)"
        case .missing:
            "cannot open store '\(path)': no such file (pass a processor's store with --store)"
        case .damaged:
            "cannot read store '\(path)': damaged file: \(detail) (restore a backup, or pass "
                + "another --store)"
        case .replaced:
            "store '\(path)' \(detail) while it was open (move the original file back, or "
                + "restart tally, which continues with the file at this path)"
        case .takenOver:
            "store '\(path)' was opened by another processor (run one processor per store; its "
                + "plays stay in NSQ)"
        case .failed:
            "store '\(path)' failed: \(detail)"
        }
    }
}
