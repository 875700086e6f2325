import GRDB

/// Why the store cannot be used, and what to do about it. Nothing is lost by any of these: what
/// is not committed is not finished either, and stays with NSQ.
package struct StoreError: Error, Equatable, Sendable {
    package enum Kind: Sendable {
        case newerVersion, readOnly, notAStore, inUse, full, cannotOpen, missing, damaged, failed
    }

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
            "the store \(path) was written by a newer tally: use that one, or another --store"
        case .readOnly:
            "the store \(path) cannot be written: change its permissions, or use another --store"
        case .notAStore:
            "\(path) is not a store of tally, and was left as it is: use another --store"
        case .inUse:
            "the store \(path) is in use by another process: stop that one, or use another --store"
        case .full:
            "no room left on the disk for the store \(path): make room and start again"
        case .cannotOpen:
            "the store \(path) cannot be opened (\(detail)): does its folder exist?"
        case .missing:
            "there is no store \(path): give the one of a processor with --store"
        case .damaged:
            "the store \(path) is damaged (\(detail)): restore it from a copy, or use another"
        case .failed:
            "the store \(path) failed: \(detail)"
        }
    }
}
