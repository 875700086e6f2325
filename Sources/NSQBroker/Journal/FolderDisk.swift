import BrokerCore
import Glibc
import NSQWire
import UVLoop

/// A journal's files in a folder. They are written and read on the loop's thread, and synced on
/// one of their own.
final class FolderDisk: JournalDisk {
    let path: String
    private let folder: Int32
    private var open: [UInt32: Int32] = [:]
    private var spares = SpareFiles()
    private let syncer: LoopThread
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
        for name in try Files.names(in: path) where name.hasPrefix(SpareFiles.prefix) {
            unlinkat(folder, name, 0)
        }
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
            try write(slices, to: descriptor, at: 0)
            open[file] = descriptor
        } catch {
            unlinkat(folder, JournalFile.name(of: file), 0)
            Glibc.close(descriptor)
            throw error
        }
    }

    /// It has its name once its beginning is written: who finds it finds no earlier file's.
    private func make(
        _ file: UInt32, of spare: SpareFiles.Spare, beginning slices: [Bytes]
    ) throws(LedgerError) {
        spares.remove(spare)
        do throws(LedgerError) {
            try write(slices, to: spare.descriptor, at: 0)
            guard renameat(folder, spare.name, folder, JournalFile.name(of: file)) == 0 else {
                throw failure("cannot rename \(spare.name)")
            }
            open[file] = spare.descriptor
        } catch {
            giveBack(spare)
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

    /// What it can be, if it is of use.
    private func spare(of file: UInt32) throws(LedgerError) -> SpareFiles.Spare? {
        guard let descriptor = open[file] else { return nil }
        let byteCount = try Files.byteCount(of: descriptor, path)
        guard spares.hasUse(for: byteCount) else { return nil }
        return SpareFiles.Spare(number: file, descriptor: descriptor, byteCount: byteCount)
    }

    /// The system takes its time to give back what a removed file took.
    private func closeByTheWay(_ descriptor: Int32) {
        syncer.door.submit { _ in Glibc.close(descriptor) }
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

    // MARK: Spares

    var remains: Int { spares.next?.byteCount ?? 0 }

    var spareBytes: Int { spares.byteCount }

    func giveBackSpares() { giveBackByTheWay(spares.removeAll()) }

    /// Gives back those that were not needed since the last time.
    func giveBackIdleSpares() { giveBackByTheWay(spares.removeIdle()) }

    private func giveBackByTheWay(_ spares: [SpareFiles.Spare]) {
        for spare in spares {
            unlinkat(folder, spare.name, 0)
            closeByTheWay(spare.descriptor)
        }
    }

    private func giveBack(_ spare: SpareFiles.Spare) {
        unlinkat(folder, spare.name, 0)
        Glibc.close(spare.descriptor)
    }

    /// Calls into the system, and once more if there was no room: without the spares there may be.
    private func makingRoom<Result: SignedInteger>(_ call: () -> Result) -> Result {
        let result = call()
        guard result < 0, errno == ENOSPC || errno == EDQUOT, !spares.all.isEmpty else {
            return result
        }
        for spare in spares.removeAll() { giveBack(spare) }
        return call()
    }

    // MARK: Bytes

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(LedgerError) {
        try write(slices, to: descriptor(file), at: offset)
    }

    private func write(
        _ slices: [Bytes], to descriptor: Int32, at offset: Int
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
            self?.spareFilesAre(gone, error)
            done(error)
        }
        syncer.door.submit { [door] _ in
            let failed = descriptors.contains { fdatasync($0) != 0 }
            let error = failed ? LedgerError("cannot sync \(path): \(Self.reason)") : nil
            door.submit { _ in answer.call(error) }
        }
    }

    private func spareFilesAre(_ gone: Set<UInt32>, _ error: LedgerError?) {
        if error == nil {
            spares.syncEnded(gone)
        } else {
            giveBackByTheWay(spares.removeDoubtful())
        }
    }

    private func failure(_ what: String) -> LedgerError {
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
