import BrokerCore
import Glibc
import NSQWire
import UVLoop

/// A journal's files in a folder. They are written and read on the loop's thread, and synced on
/// one of their own.
final class FolderDisk: JournalDisk {
    let path: String
    let folder: Int32
    var open: [UInt32: Int32] = [:]
    var spares = SpareFiles()
    let syncer: LoopThread
    private let door: LoopDoor

    /// Opens the folder, and keeps others out of it.
    ///
    /// - Throws: if it is not there, another broker has it, or nothing can be written in it.
    init(_ path: String, on loop: Loop) throws(LedgerError) {
        self.path = path
        folder = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else {
            throw LedgerError("cannot open data-path \(path): \(Self.reason)")
        }
        guard flock(folder, LOCK_EX | LOCK_NB) == 0 else {
            let reason = Self.reason
            Glibc.close(folder)
            throw LedgerError(
                "failed to lock data-path: cannot flock directory \(path) - \(reason) "
                    + "(possibly in use by another instance of nsqd)")
        }
        // Or every publish would be refused, and nobody told before.
        guard faccessat(folder, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0 else {
            let reason = Self.reason
            Glibc.close(folder)
            throw LedgerError("cannot write in data-path \(path): \(reason)")
        }
        door = loop.door
        do {
            syncer = try LoopThread(name: "journal")
        } catch {
            Glibc.close(folder)
            throw LedgerError("\(error)")
        }
        try removeSparesOfBefore()
    }

    deinit {
        syncer.stop()
        syncer.join()
        for descriptor in open.values { Glibc.close(descriptor) }
        for spare in spares.all { giveBack(spare) }
        Glibc.close(folder)
    }

    // MARK: Files

    func files() throws(LedgerError) -> [JournalFile] {
        var files: [JournalFile] = []
        for number in try Files.names(in: path).compactMap(JournalFile.number) {
            let count = try Files.byteCount(of: descriptor(number), path)
            files.append(JournalFile(number: number, byteCount: count))
        }
        return files
    }

    func create(_ file: UInt32, beginning slices: [Bytes]) throws(LedgerError) {
        if let spare = spares.next { return try make(file, of: spare, beginning: slices) }
        let descriptor = try opened(file, O_CREAT | O_TRUNC)
        do throws(LedgerError) {
            try write(slices, toOpen: descriptor, at: 0)
            open[file] = descriptor
        } catch {
            unlinkat(folder, JournalFile.name(of: file), 0)
            Glibc.close(descriptor)
            throw error
        }
    }

    func remove(_ file: UInt32) throws(LedgerError) {
        let name = JournalFile.name(of: file)
        if let spare = try spare(of: file), renameat(folder, name, folder, spare.name) == 0 {
            spares.append(spare)
        } else {
            guard unlinkat(folder, name, 0) == 0 else { throw failure("cannot remove \(name)") }
            if let descriptor = open[file] { closeByTheWay(descriptor) }
        }
        open[file] = nil
    }

    private func descriptor(_ file: UInt32) throws(LedgerError) -> Int32 {
        if let descriptor = open[file] { return descriptor }
        let descriptor = try opened(file, 0)
        open[file] = descriptor
        return descriptor
    }

    private func opened(_ file: UInt32, _ flags: Int32) throws(LedgerError) -> Int32 {
        let descriptor = makingRoom {
            openat(folder, JournalFile.name(of: file), O_RDWR | O_CLOEXEC | flags, 0o644)
        }
        guard descriptor >= 0 else { throw failure("cannot open \(JournalFile.name(of: file))") }
        return descriptor
    }

    // MARK: Bytes

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(LedgerError) {
        try write(slices, toOpen: descriptor(file), at: offset)
    }

    func write(
        _ slices: [Bytes], toOpen descriptor: Int32, at offset: Int
    ) throws(LedgerError) {
        var vectors = slices.map {
            iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
        }
        var offset = offset
        var next = 0
        while next < vectors.count {
            let count = min(vectors.count - next, Self.mostVectors)
            let written = vectors.withUnsafeBufferPointer { vectors in
                makingRoom {
                    pwritev(descriptor, vectors.baseAddress! + next, Int32(count), offset)
                }
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw failure("cannot write") }
            offset += written
            Self.advance(&vectors, &next, by: written)
        }
    }

    /// What the system takes at once (`IOV_MAX`).
    private static let mostVectors = 1024

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
    ) throws(LedgerError) -> Int {
        try Files.read(descriptor(file), at: offset, into: buffer, path)
    }

    func reserve(_ end: Int, in file: UInt32) throws(LedgerError) {
        var status = stat()
        let descriptor = try descriptor(file)
        guard fstat(descriptor, &status) == 0 else { throw failure("cannot stat") }
        let length = Int(status.st_size)
        guard length < end else { return }
        let made = makingRoom {
            errno = posix_fallocate(descriptor, length, end - length)
            return errno == 0 ? 0 : -1
        }
        guard made == 0 else {
            throw LedgerError(
                "cannot make room in \(path)/\(JournalFile.name(of: file)): \(Self.reason)")
        }
    }

    func truncate(_ file: UInt32, to end: Int) throws(LedgerError) {
        guard ftruncate(try descriptor(file), end) == 0 else { throw failure("cannot truncate") }
    }

    // MARK: Syncing

    func sync(_ files: [UInt32], _ done: @escaping (LedgerError?) -> Void) {
        let descriptors = files.compactMap { open[$0] } + [folder]
        let path = path
        let gone = Set(spares.all.map(\.number))
        let answer = LoopBoundAnswer { [weak self] error in
            self?.syncEnded(withSpares: gone, error)
            done(error)
        }
        syncer.door.submit { [door] _ in
            let failed = descriptors.contains { fdatasync($0) != 0 }
            let error = failed ? LedgerError("cannot sync \(path): \(Self.reason)") : nil
            door.submit { _ in answer.call(error) }
        }
    }

    func failure(_ what: String) -> LedgerError {
        LedgerError("\(what) in \(path): \(Self.reason)")
    }

    private static var reason: String { String(cString: strerror(errno)) }
}

/// A closure that travels to another thread and back, and is called on the loop it came from.
// SAFETY: nobody but that loop calls it.
private final class LoopBoundAnswer: @unchecked Sendable {
    private let done: (LedgerError?) -> Void

    init(_ done: @escaping (LedgerError?) -> Void) { self.done = done }

    func call(_ error: LedgerError?) { done(error) }
}
