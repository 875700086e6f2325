import Foundation
import TestKit

/// A store on a small disk that does not work for a time: another program has locked it, the disk is
/// full, or one of its files was moved away.
final class FailingStore {
    enum StoreFailure: CaseIterable {
        case locked, full, removed, removedLog
    }

    let disk: SmallDisk
    /// The path of the store for processes that see the disk.
    let path: String
    /// The path of the store for this process, which does not see the disk.
    private let seen: String

    init() throws {
        disk = try SmallDisk(mebibytes: 48)
        path = disk.folder.appending(component: "counts.sqlite").path
        seen = disk.seen.appending(component: "counts.sqlite").path
    }

    /// Makes the store fail.
    ///
    /// - Returns: a closure that ends the failure.
    func begin(_ failure: StoreFailure) throws -> () throws -> Void {
        switch failure {
        case .locked:
            let lock = ForeignLock.ofWriters(seen)
            return { lock?.release() }
        case .full:
            try fillDisk()
            return { [disk] in try disk.remove("ballast") }
        case .removed: return try moveAway(seen)
        case .removedLog: return try moveAway(seen + "-wal")
        }
    }

    private func fillDisk() throws {
        let file = open(disk.seen.appending(component: "ballast").path, O_WRONLY | O_CREAT, 0o600)
        guard file >= 0 else { throw POSIXError(.EIO) }
        defer { close(file) }
        let chunk = [UInt8](repeating: 7, count: 4096)
        while write(file, chunk, chunk.count) > 0 {}
    }

    private func moveAway(_ file: String) throws -> () throws -> Void {
        guard rename(file, file + ".away") == 0 else { throw POSIXError(.EIO) }
        return {
            guard rename(file + ".away", file) == 0 else { throw POSIXError(.EIO) }
        }
    }
}
