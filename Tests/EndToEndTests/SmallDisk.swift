import Foundation
import TestKit

/// A disk in memory of its own, for the time of one test; whoever may not mount one has none.
final class SmallDisk {
    let folder: URL

    /// Whether this machine lets us: it takes root, and a container that allows it.
    static let isPossible = (try? SmallDisk(bytes: 1 << 20)) != nil

    init(bytes: Int) throws {
        folder = FileManager.default.temporaryDirectory
            .appending(component: "tally-disk-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        guard mount("tally", folder.path, "tmpfs", 0, "size=\(bytes)") == 0 else {
            let error = POSIXError(POSIXErrorCode(rawValue: errno) ?? .EPERM)
            rmdir(folder.path)
            throw error
        }
    }

    /// Also if a broker of a test that failed still has files open there.
    deinit {
        umount2(folder.path, Int32(MNT_DETACH))
        rmdir(folder.path)
    }

    /// Takes so much of it.
    func put(_ name: String, bytes: Int) throws {
        try Data(count: bytes).write(to: folder.appending(component: name))
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(at: folder.appending(component: name))
    }
}
