import Glibc

/// The reason why the data path of nsqlookupd cannot be used.
package struct StateFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence with the path and the cause.
    package let description: String

    fileprivate init(_ what: String, _ path: String) {
        description = "\(what) \(path): \(String(cString: strerror(errno)))"
    }

    init(_ description: String) { self.description = description }
}

/// The file with nsqlookupd's state, in the data path. The folder is locked, so that no other
/// nsqlookupd writes the file.
///
/// A new state is written to a second file, which is synced and then renamed over the first. So the
/// file always contains a complete state.
// SAFETY: the stored properties are constants, and only one thread at a time calls `write(_:)`.
final class StateFile: @unchecked Sendable {
    private let folderPath: String
    private let folder: Int32

    static let name = "nsqlookupd.json"
    private static let newName = "nsqlookupd.json.new"
    /// The maximum size of the file in bytes. A million entries take less than 100 MiB.
    private static let maxBytes = 1 << 30

    /// Opens and locks the folder, which must exist.
    init(folder path: String) throws(StateFileError) {
        folderPath = path
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw StateFileError("cannot open data path", path) }
        guard flock(folder, LOCK_EX | LOCK_NB) == 0 else {
            // The throw runs deinit, which closes the descriptor.
            guard errno == EWOULDBLOCK else { throw StateFileError("cannot lock", path) }
            throw StateFileError("data path \(path) is in use by another nsqlookupd or nsqd")
        }
    }

    deinit {
        guard folder >= 0 else { return }
        flock(folder, LOCK_UN)
        close(folder)
    }

    private var path: String { "\(folderPath)/\(Self.name)" }

    /// Reads the state; `nil` if there is none yet.
    func read() throws(StateFileError) -> LookupState? {
        let file = openat(folder, Self.name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw StateFileError("cannot open", path)
        }
        defer { close(file) }
        let bytes = try contents(of: file)
        do throws(LookupState.Malformed) {
            return try LookupState(parsing: bytes)
        } catch {
            throw StateFileError(
                "\(path) is not a state of nsqlookupd (remove it to start without topics)")
        }
    }

    private func contents(of file: Int32) throws(StateFileError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw StateFileError("cannot read", path) }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= Self.maxBytes else { throw StateFileError("\(path) is too large") }
        }
    }

    /// Replaces the state, and returns after it is synced to the disk.
    func write(_ bytes: [UInt8]) throws(StateFileError) {
        let newPath = "\(folderPath)/\(Self.newName)"
        let file = openat(
            folder, Self.newName, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw StateFileError("cannot create", newPath) }
        defer { close(file) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else {
                throw StateFileError("cannot write", newPath)
            }
            rest = rest.dropFirst(max(0, count))
        }
        guard fsync(file) == 0 else { throw StateFileError("cannot sync", newPath) }
        guard renameat(folder, Self.newName, folder, Self.name) == 0 else {
            throw StateFileError("cannot rename", newPath)
        }
        guard fsync(folder) == 0 else { throw StateFileError("cannot sync", folderPath) }
    }
}
