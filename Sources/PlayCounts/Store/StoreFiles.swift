import Glibc

/// The files of an open store: the database and its write-ahead log.
///
/// If these files are removed or replaced, SQLite continues to write to the open files, and the
/// counts would be lost at the end of the process. Therefore the open files are compared with the
/// files at their paths before each commit.
struct StoreFiles: Sendable {
    private let path: String
    private let files: [(name: String, identity: FileIdentity?)]

    /// Records the files of a store that was just opened.
    init(of path: String) {
        self.path = path
        files = [path, path + "-wal"].map { ($0, FileIdentity(of: $0)) }
    }

    /// Removes a closed database and its log. Usually SQLite has removed the log already, unless
    /// another program has the database open.
    static func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
    }

    /// - Throws: `StoreError` of kind `replaced` if there is no file or another file at a path.
    func check() throws(StoreError) {
        for file in files {
            let now = FileIdentity(of: file.name)
            guard now != file.identity else { continue }
            let part = file.name == path ? "" : "has lost its write-ahead log, which "
            throw StoreError(
                .replaced, path: path,
                detail: part + "was \(now == nil ? "removed" : "replaced")")
        }
    }
}
