import Glibc

/// The identity of a file, independent of its name: the numbers of its device and inode.
struct FileIdentity: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64

    /// The identity of the file at `path`; `nil` if there is none.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

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
