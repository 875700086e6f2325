import BrokerCore
import Glibc
import NSQWire

/// File system calls that the import, the inspection and the broker share.
enum FileCalls {
    /// Returns the names of entries in a folder, in no particular order.
    ///
    /// - Parameter isIncluded: a closure that returns `true` for the names to return. A folder may
    ///   contain millions of other entries, so their names are not collected.
    static func names(
        in folder: String, where isIncluded: (String) -> Bool
    ) throws(MessageLogError) -> [String] {
        guard let listing = opendir(folder) else { throw failure("cannot list", folder) }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if isIncluded(name) { names.append(name) }
        }
        return names
    }

    /// Opens a regular file in a folder. Symbolic links are followed.
    ///
    /// - Parameters:
    ///   - folder: the descriptor of the folder.
    ///   - flags: further flags of `open(2)`.
    ///   - path: the path of the folder, for error messages.
    /// - Returns: the descriptor, which the caller closes.
    /// - Throws: an error if the file cannot be opened, or is a folder, a device, a pipe or a
    ///   socket. These are not opened, because opening a pipe blocks, and opening a device can have
    ///   side effects.
    static func openRegular(
        _ name: String, in folder: Int32, _ flags: Int32, _ path: String
    ) throws(MessageLogError) -> Int32 {
        guard try isRegular(name, in: folder, path) else {
            throw MessageLogError("\(path)/\(name) is not a regular file")
        }
        // The entry can be replaced by a pipe or a device after the check above. These flags then
        // avoid blocking and side effects.
        let descriptor = openat(
            folder, name, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw failure("cannot open", "\(path)/\(name)") }
        return descriptor
    }

    /// Returns all journal files in a folder, in no particular order. No file is opened.
    static func journalFiles(
        in folder: Int32, _ path: String
    ) throws(MessageLogError) -> [JournalFile] {
        var files: [JournalFile] = []
        for name in try names(in: path, where: JournalFile.isName) {
            guard let number = JournalFile.number(in: name) else { continue }
            var file = JournalFile(number: number, byteCount: 0)
            file.isRegular = try isRegular(name, in: folder, path)
            if file.isRegular { file.byteCount = try byteCount(of: name, in: folder, path) }
            files.append(file)
        }
        return files
    }

    private static func byteCount(
        of name: String, in folder: Int32, _ path: String
    ) throws(MessageLogError) -> Int {
        var status = stat()
        guard fstatat(folder, name, &status, 0) == 0 else {
            throw failure("cannot stat", "\(path)/\(name)")
        }
        return Int(status.st_size)
    }

    /// `SEEK_DATA` of Linux, which the Glibc module does not export.
    private static let seekData: Int32 = 3

    /// Returns the offset of the first byte at or after `offset` that is not in a hole, or the
    /// largest offset if there is none.
    static func nextData(_ descriptor: Int32, from offset: Int) -> Int {
        let found = lseek(descriptor, offset, seekData)
        guard found < 0 else { return found }
        // Other errors mean that the file system does not know its holes.
        return errno == ENXIO ? .max : offset
    }

    /// Returns `true` if the entry is a regular file, or a symbolic link to one.
    static func isRegular(
        _ name: String, in folder: Int32, _ path: String
    ) throws(MessageLogError) -> Bool {
        var status = stat()
        guard fstatat(folder, name, &status, 0) == 0 else {
            // The entry is a loop of symbolic links, or a link to a missing file.
            if errno == ELOOP || errno == ENOENT { return false }
            throw failure("cannot stat", "\(path)/\(name)")
        }
        return status.st_mode & S_IFMT == S_IFREG
    }

    /// Returns the length of an open file in bytes.
    static func byteCount(of descriptor: Int32, _ path: String) throws(MessageLogError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("cannot stat", path) }
        return Int(status.st_size)
    }

    /// Reads bytes from a file into `buffer`.
    ///
    /// - Parameter offset: the byte offset in the file.
    /// - Returns: the number of read bytes, which is smaller than `buffer.count` only at the end of
    ///   the file.
    static func read(
        _ descriptor: Int32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
        _ path: String
    ) throws(MessageLogError) -> Int {
        var total = 0
        while total < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress! + total, buffer.count - total, offset + total)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot read", path) }
            guard count > 0 else { break }
            total += count
        }
        return total
    }

    /// Creates a file that does not exist, with mode 0600, and returns its descriptor.
    static func create(_ path: String) throws(MessageLogError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("cannot create", path) }
        return descriptor
    }

    /// Creates a file with the bytes as its content.
    static func write(_ bytes: [UInt8], to path: String) throws(MessageLogError) {
        let descriptor = try create(path)
        defer { close(descriptor) }
        try write(bytes, to: descriptor, path)
    }

    /// Appends bytes to an open file.
    static func write(
        _ bytes: [UInt8], to descriptor: Int32, _ path: String
    ) throws(MessageLogError) {
        var left = bytes[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else { throw failure("cannot write", path) }
            left = left.dropFirst(max(0, count))
        }
    }

    /// Unlocks a folder and closes its descriptor.
    ///
    /// Closing the descriptor does not release the lock while a child process has a copy of it. Each
    /// child process has such a copy between `fork` and `exec`, which closes the copy.
    static func unlockAndClose(_ descriptor: Int32) {
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Syncs an open file or folder to the disk.
    static func sync(_ descriptor: Int32, _ path: String) throws(MessageLogError) {
        guard fsync(descriptor) == 0 else { throw failure("cannot sync", path) }
    }

    /// Syncs the regular files of a folder, and the folder itself.
    static func syncFolder(_ path: String) throws(MessageLogError) {
        let folder = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("cannot open", path) }
        defer { close(folder) }
        for name in try names(in: path, where: { $0 != "." && $0 != ".." })
        where try isRegular(name, in: folder, path) {
            let file = try openRegular(name, in: folder, O_RDONLY, path)
            defer { close(file) }
            try sync(file, "\(path)/\(name)")
        }
        try sync(folder, path)
    }

    /// Creates an error with the reason why the last system call failed.
    ///
    /// - Parameter what: the failed operation, such as `cannot read`.
    static func failure(_ what: String, _ path: String) -> MessageLogError {
        MessageLogError("\(what) \(path): \(String(cString: strerror(errno)))")
    }
}
