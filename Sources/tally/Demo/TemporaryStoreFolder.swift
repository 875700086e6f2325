import Foundation
import Glibc

/// The folder for a demo's temporary store. If enough memory is free, the folder is in memory,
/// where disk writes of other programs do not delay commits.
enum TemporaryStoreFolder {
    /// The free memory in bytes that the folder needs: twice the size of a store with a million
    /// videos.
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
