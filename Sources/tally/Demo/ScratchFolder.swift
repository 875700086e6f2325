import Foundation
import Glibc

/// Where the demo counts if nobody wants to keep the counts: in memory if there is plenty of it, for
/// there no commit waits for what others write to a disk.
enum ScratchFolder {
    /// What a demo of a million videos needs, and as much again.
    private static let enoughBytes = 1 << 30
    private static let memory = "/dev/shm"

    static var url: URL {
        let isChosen = ProcessInfo.processInfo.environment["TMPDIR"] != nil
        guard !isChosen, freeBytes(in: memory) >= enoughBytes, access(memory, W_OK) == 0 else {
            return FileManager.default.temporaryDirectory
        }
        return URL(filePath: memory, directoryHint: .isDirectory)
    }

    private static func freeBytes(in folder: String) -> Int {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return 0 }
        return Int(status.f_bavail) * Int(status.f_frsize)
    }
}
