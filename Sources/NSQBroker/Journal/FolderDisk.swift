import BrokerCore
import Glibc
import NSQWire
import UVLoop

/// The files of a journal in a folder. The loop's thread reads and writes the files, and another
/// thread syncs them.
final class FolderDisk: JournalDisk {
    private let path: String
    /// The descriptor of the folder.
    private let folder: Int32
    /// The descriptors of the open journal files, by file number.
    private var openFiles = OpenFiles()
    private var runningSyncs = 0
    private let recycler: FileRecycler
    /// The thread that syncs files and frees disk space.
    private let syncer: LoopThread
    private let mailbox: LoopMailbox

    /// Opens and locks the folder.
    ///
    /// - Throws: an error if the folder does not exist, is not writable, or is locked by another
    ///   broker.
    init(_ path: String, on loop: Loop) throws(MessageLogError) {
        self.path = path
        folder = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else {
            throw MessageLogError("cannot open data-path \(path): \(Self.reason)")
        }
        guard flock(folder, LOCK_EX | LOCK_NB) == 0 else {
            let reason = Self.reason
            Glibc.close(folder)
            throw MessageLogError(
                "failed to lock data-path: cannot flock directory \(path) - \(reason) "
                    + "(possibly in use by another instance of nsqd)")
        }
        // Without this check, the broker would start and then refuse every publish.
        guard faccessat(folder, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0 else {
            let reason = Self.reason
            Glibc.close(folder)
            throw MessageLogError(
                "cannot write in data-path \(path): \(reason) (pass another --data-path, or "
                    + "--memory-only)")
        }
        mailbox = loop.mailbox
        do {
            syncer = try LoopThread(name: "journal")
        } catch {
            Glibc.close(folder)
            throw MessageLogError("\(error)")
        }
        recycler = FileRecycler(path, folder, syncer.mailbox)
        try recycler.removeOldFiles()
    }

    deinit {
        syncer.stop()
        syncer.join()
        for descriptor in openFiles.removeAll() { Glibc.close(descriptor) }
        recycler.deleteAll()
        FileCalls.unlockAndClose(folder)
    }

    // MARK: Files

    func files() throws(MessageLogError) -> [JournalFile] {
        try FileCalls.journalFiles(in: folder, path)
    }

    func create(_ file: UInt32, startingWith slices: [Bytes]) throws(MessageLogError) {
        if let recycledFile = recycler.next {
            let descriptor = try recycler.create(file, from: recycledFile) {
                descriptor throws(MessageLogError) in
                try write(slices, toOpen: descriptor, at: 0)
            }
            return add(file, descriptor)
        }
        let descriptor = try opened(file, O_CREAT | O_TRUNC)
        do throws(MessageLogError) {
            try write(slices, toOpen: descriptor, at: 0)
            add(file, descriptor)
        } catch {
            unlinkat(folder, JournalFile.name(of: file), 0)
            Glibc.close(descriptor)
            throw error
        }
    }

    func remove(_ file: UInt32) throws(MessageLogError) {
        if try !recycler.recycle(file, openFiles[file]) {
            let name = JournalFile.name(of: file)
            // A folder with the name of a journal file is not removed.
            guard unlinkat(folder, name, 0) == 0 || errno == EISDIR else {
                throw failure("cannot remove \(name)")
            }
            if let descriptor = openFiles[file] { recycler.closeInBackground(descriptor) }
        }
        openFiles.remove(file)
    }

    /// Adds an open file. If too many files are open, another file is closed. A running sync may use
    /// the descriptor of that file, so the sync thread then closes it after the sync.
    private func add(_ file: UInt32, _ descriptor: Int32) {
        guard let evicted = openFiles.add(file, descriptor) else { return }
        if runningSyncs > 0 {
            recycler.closeInBackground(evicted)
        } else {
            Glibc.close(evicted)
        }
    }

    private func descriptor(_ file: UInt32) throws(MessageLogError) -> Int32 {
        if let descriptor = openFiles[file] { return descriptor }
        let descriptor = try opened(file, 0)
        add(file, descriptor)
        return descriptor
    }

    private func opened(_ file: UInt32, _ flags: Int32) throws(MessageLogError) -> Int32 {
        let descriptor = recycler.retryingWhenFull {
            openat(
                folder, JournalFile.name(of: file), O_RDWR | O_CLOEXEC | O_NONBLOCK | flags, 0o600)
        }
        guard descriptor >= 0 else { throw failure("cannot open \(JournalFile.name(of: file))") }
        return descriptor
    }

    // MARK: Recycled files

    var nextFileRecycledEnd: Int { recycler.next?.byteCount ?? 0 }

    var recycledFileBytes: Int { recycler.byteCount }

    func removeRecycledFiles() { recycler.removeAll() }

    /// Frees the recycled files that stayed unused since the last call.
    func removeIdleRecycledFiles() { recycler.removeIdle() }

    // MARK: Bytes

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(MessageLogError) {
        try write(slices, toOpen: descriptor(file), at: offset)
    }

    private func write(
        _ slices: [Bytes], toOpen descriptor: Int32, at offset: Int
    ) throws(MessageLogError) {
        var vectors = slices.map {
            iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
        }
        var offset = offset
        var next = 0
        while next < vectors.count {
            let count = min(vectors.count - next, Self.maxVectors)
            let written = vectors.withUnsafeBufferPointer { vectors in
                recycler.retryingWhenFull {
                    pwritev(descriptor, vectors.baseAddress! + next, Int32(count), offset)
                }
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw failure("cannot write") }
            offset += written
            Self.advance(&vectors, &next, by: written)
        }
    }

    /// The maximum number of slices in one `pwritev` call (`IOV_MAX`).
    private static let maxVectors = 1024

    /// Removes the first `count` bytes, which were written, from the vectors.
    ///
    /// - Parameter next: the index of the first vector with unwritten bytes.
    private static func advance(_ vectors: inout [iovec], _ next: inout Int, by count: Int) {
        var left = count
        while next < vectors.count, left >= vectors[next].iov_len {
            left -= vectors[next].iov_len
            next += 1
        }
        guard left > 0 else { return }
        vectors[next].iov_base += left
        vectors[next].iov_len -= left
    }

    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MessageLogError) -> Int {
        try FileCalls.read(descriptor(file), at: offset, into: buffer, path)
    }

    func nextData(in file: UInt32, from offset: Int) throws(MessageLogError) -> Int {
        FileCalls.nextData(try descriptor(file), from: offset)
    }

    func reserve(_ end: Int, in file: UInt32) throws(MessageLogError) {
        var status = stat()
        let descriptor = try descriptor(file)
        guard fstat(descriptor, &status) == 0 else { throw failure("cannot stat") }
        let length = Int(status.st_size)
        guard length < end else { return }
        let made = recycler.retryingWhenFull {
            errno = posix_fallocate(descriptor, length, end - length)
            return errno == 0 ? 0 : -1
        }
        guard made == 0 else {
            throw MessageLogError(
                "cannot reserve space in \(path)/\(JournalFile.name(of: file)): \(Self.reason)")
        }
    }

    func truncate(_ file: UInt32, to end: Int) throws(MessageLogError) {
        guard ftruncate(try descriptor(file), end) == 0 else { throw failure("cannot truncate") }
    }

    // MARK: Syncing

    func sync(_ files: [UInt32], _ done: @escaping (MessageLogError?) -> Void) {
        let path = path
        let descriptors = files.compactMap { openFiles[$0] } + [folder]
        let closed = files.filter { openFiles[$0] == nil }
        let removed = recycler.numbers
        let completion = LoopBoundCompletion { [weak self] error in
            self?.runningSyncs -= 1
            self?.recycler.didSync(removalsOf: removed, error)
            done(error)
        }
        runningSyncs += 1
        syncer.mailbox.submit { [mailbox, folder] _ in
            let isSynced =
                closed.allSatisfy { Self.syncClosed($0, in: folder) }
                && descriptors.allSatisfy { fdatasync($0) == 0 }
            let error = isSynced ? nil : MessageLogError("cannot sync \(path): \(Self.reason)")
            mailbox.submit { _ in completion.call(error) }
        }
    }

    /// Syncs a file that was closed after it was written. A sync covers the writes of all
    /// descriptors of a file.
    ///
    /// - Returns: `true` if the file is synced, or was removed in the meantime.
    private static func syncClosed(_ file: UInt32, in folder: Int32) -> Bool {
        let descriptor = openat(folder, JournalFile.name(of: file), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return errno == ENOENT }
        let status = fdatasync(descriptor)
        let reason = errno
        Glibc.close(descriptor)
        errno = reason
        return status == 0
    }

    private func failure(_ what: String) -> MessageLogError {
        MessageLogError("\(what) in \(path): \(Self.reason)")
    }

    private static var reason: String { String(cString: strerror(errno)) }
}

/// A closure that another thread passes back to the loop that created it, and that only this loop
/// calls.
// SAFETY: only the thread of that loop calls the closure.
private final class LoopBoundCompletion: @unchecked Sendable {
    private let done: (MessageLogError?) -> Void

    init(_ done: @escaping (MessageLogError?) -> Void) { self.done = done }

    func call(_ error: MessageLogError?) { done(error) }
}
