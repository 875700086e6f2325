import Glibc

/// One open file with messages, one per line, optionally compressed.
///
/// Only ``sync()`` makes messages durable. It ends the gzip member and syncs the file. The first
/// time, it also syncs the folder, so that a new file survives a power failure.
final class OutputFile {
    let path: String
    /// The size in bytes. Messages that this process has written count with their size before
    /// compression, as in nsq_to_file.
    private(set) var byteCount: Int
    private let descriptor: Int32
    private let gzip: GzipEncoder?
    private var buffer: [UInt8] = []
    private var folderIsSynced = false
    private var isSynced = true

    /// The number of bytes above which the buffer is written.
    private static let bufferBytes = 64 << 10

    /// Opens a file, and creates it and its folders if they do not exist.
    ///
    /// - Parameter isNew: `true` if the file must not exist yet.
    /// - Returns: `nil` if the file exists and `isNew` is `true`.
    /// - Throws: `FileError` if the file cannot be opened.
    init?(_ path: String, isNew: Bool, gzipLevel: Int?) throws(FileError) {
        self.path = path
        gzip = gzipLevel.map { GzipEncoder(level: $0) }
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND | (isNew ? O_EXCL : 0)
        descriptor = open(path, flags, 0o666)
        guard descriptor >= 0 else {
            byteCount = 0
            if isNew, errno == EEXIST { return nil }
            throw FileError("unable to open", path, errno: errno)
        }
        var status = stat()
        byteCount = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
        if byteCount > 0, gzipLevel == nil { try endTornLine() }
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    /// Ends an incomplete last line, which a killed process may have left. nsqd delivers its
    /// message again, so the incomplete line stays as a line of its own.
    private func endTornLine() throws(FileError) {
        var last: UInt8 = 0
        guard pread(descriptor, &last, 1, byteCount - 1) == 1 else {
            throw FileError("cannot read", path, errno: errno)
        }
        if last != UInt8(ascii: "\n") { buffer.append(UInt8(ascii: "\n")) }
    }

    /// Writes a message and a newline.
    func append(_ body: UnsafeRawBufferPointer) throws(FileError) {
        isSynced = false
        byteCount += body.count + 1
        if let gzip {
            gzip.append(body, to: &buffer)
            withUnsafeBytes(of: UInt8(ascii: "\n")) { gzip.append($0, to: &buffer) }
        } else {
            buffer += body
            buffer.append(UInt8(ascii: "\n"))
        }
        if buffer.count > Self.bufferBytes { try writeBuffer() }
    }

    /// Writes and syncs all messages so far, and returns when they are durable.
    func sync() throws(FileError) {
        guard !isSynced || !folderIsSynced else { return }
        gzip?.endMember(&buffer)
        try writeBuffer()
        guard fsync(descriptor) == 0 else { throw FileError("failed to fsync", path, errno: errno) }
        if !folderIsSynced { try Folders.sync(Folders.parent(of: path)) }
        isSynced = true
        folderIsSynced = true
    }

    private func writeBuffer() throws(FileError) {
        var rest = buffer[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else {
                throw FileError("cannot write", path, errno: errno)
            }
            rest = rest.dropFirst(max(0, count))
        }
        buffer.removeAll(keepingCapacity: true)
    }
}

/// System calls for folders.
enum Folders {
    /// Returns the path of the folder that contains a file.
    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Creates a folder and its missing parent folders, with mode 0770.
    static func create(_ path: String) throws(FileError) {
        if mkdir(path, 0o770) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, path.contains("/") else {
            throw FileError("unable to create dir", path, errno: errno)
        }
        try create(parent(of: path))
        guard mkdir(path, 0o770) == 0 || errno == EEXIST else {
            throw FileError("unable to create dir", path, errno: errno)
        }
    }

    /// Syncs a folder, so that its new files survive a power failure.
    static func sync(_ path: String) throws(FileError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("cannot open", path, errno: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError("failed to fsync", path, errno: errno) }
    }
}
