import BrokerCore
import Foundation
import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

@Suite(.blocking) struct `The folder of a journal` {
    private let folder: TemporaryFolder
    private let loop: Loop
    private var path: String { folder.url.path }

    init() throws {
        folder = try TemporaryFolder()
        loop = try Loop()
    }

    private func open() throws(MessageLogError) -> FolderDisk { try FolderDisk(path, on: loop) }

    private func put(_ text: String, in name: String) throws {
        try Data(text.utf8).write(to: folder.url.appending(component: name))
    }

    private func text(of name: String) throws -> String {
        String(decoding: try Data(contentsOf: folder.url.appending(component: name)), as: UTF8.self)
    }

    @Test func `is locked by one broker until that broker releases it`() throws {
        var first: FolderDisk? = try open()
        let refusal = MessageLogError(
            "failed to lock data-path: cannot flock directory \(path) - Resource temporarily "
                + "unavailable (possibly in use by another instance of nsqd)")
        #expect(throws: refusal) { try open() }
        try first?.create(1, startingWith: [])
        first = nil
        #expect(try open().files() == [JournalFile(number: 1, byteCount: 0)])
    }

    @Test func `is unlocked when it is closed, even if a child process inherited the descriptor`()
        throws
    {
        var disk: FolderDisk? = try open()
        let inherited = try #require(InheritedDescriptors(of: path))
        #expect(disk != nil)
        disk = nil
        #expect(try open().files() == [])
        withExtendedLifetime(inherited) {}
    }

    @Test(arguments: [LockedFolder.Lock.shared, .exclusive])
    func `is unlocked after it was inspected, even if a child process inherited the descriptor`(
        lock: LockedFolder.Lock
    ) throws {
        var inspected: LockedFolder? = try LockedFolder(path, lock)
        let inherited = try #require(InheritedDescriptors(of: path))
        #expect(inspected != nil)
        inspected = nil
        #expect(try open().files() == [])
        withExtendedLifetime(inherited) {}
    }

    @Test func `is rejected if the path is missing or not a folder`() throws {
        let missing = folder.path("none")
        #expect(
            throws: MessageLogError("cannot open data-path \(missing): No such file or directory")
        ) {
            try FolderDisk(missing, on: loop)
        }
        try put("text", in: "file")
        let file = folder.path("file")
        #expect(throws: MessageLogError("cannot open data-path \(file): Not a directory")) {
            try FolderDisk(file, on: loop)
        }
        #expect(try text(of: "file") == "text")
    }

    @Test func `is opened if a journal file name belongs to something else`() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path("journal.000001.log"), withIntermediateDirectories: false)
        let disk = try open()
        #expect(try disk.files().map(\.isRegular) == [false])
    }

    @Test func `may contain unrelated files, which stay unchanged`() throws {
        let others = [
            "nsqd.dat", "journal.log", "journal.1.log", "journal.+00001.log", "journal.000001.log~",
            "old.journal.000001.log", "journal.99999999999.log",
        ]
        for name in others { try put(name, in: name) }
        let disk = try open()
        #expect(try disk.files() == [])
        try disk.create(1, startingWith: [])
        try disk.create(2, startingWith: [])
        try disk.remove(1)
        #expect(try disk.files() == [JournalFile(number: 2, byteCount: 0)])
        for name in others { #expect(try text(of: name) == name) }
    }

    @Test func `stores written bytes, in any number of slices`() throws {
        let disk = try open()
        try disk.create(1, startingWith: [])
        // There are more slices than one system call accepts.
        let pieces = (0..<3_000).map { Array("\($0),".utf8) }
        let all = pieces.flatMap { $0 }
        try write(pieces, to: disk, at: 64)
        #expect(try disk.files() == [JournalFile(number: 1, byteCount: 64 + all.count)])
        #expect(try read(disk, at: 64, count: all.count + 10) == all)
        #expect(try read(disk, at: 0, count: 4) == [0, 0, 0, 0])
    }

    /// Allocates each slice separately.
    private func write(
        _ pieces: [[UInt8]], to disk: FolderDisk, at offset: Int
    ) throws(MessageLogError) {
        let copies = pieces.map { piece in
            let copy = UnsafeMutableRawBufferPointer.allocate(
                byteCount: piece.count, alignment: 1)
            copy.copyBytes(from: piece)
            return copy
        }
        defer { for copy in copies { copy.deallocate() } }
        try disk.write(copies.map { Bytes($0) }, to: 1, at: offset)
    }

    private func read(
        _ disk: FolderDisk, _ file: UInt32 = 1, at offset: Int, count: Int
    ) throws -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        defer { buffer.deallocate() }
        let found = try disk.read(file, at: offset, into: buffer)
        return Array(buffer.prefix(found))
    }

    @Test func `extends and truncates files, and never truncates to reserve space`() throws {
        let disk = try open()
        try disk.create(1, startingWith: [])
        try disk.reserve(10_000, in: 1)
        #expect(try disk.files().map(\.byteCount) == [10_000])
        try disk.reserve(5_000, in: 1)
        #expect(try disk.files().map(\.byteCount) == [10_000])
        try disk.truncate(1, to: 100)
        #expect(try disk.files().map(\.byteCount) == [100])
    }

    @Test func `is synced asynchronously`() throws {
        let disk = try open()
        try disk.create(1, startingWith: [])
        #expect(syncing(disk) == .some(nil))
    }

    /// `/dev/full` fails every write with ENOSPC, and cannot be synced.
    @Test func `reports the system's error text`() throws {
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("journal.000001.log"), withDestinationPath: "/dev/full")
        let disk = try open()
        let full = MessageLogError("cannot write in \(path): No space left on device")
        #expect(throws: full) {
            try write([[1, 2, 3]], to: disk, at: 0)
        }
        #expect(syncing(disk) == MessageLogError("cannot sync \(path): Invalid argument"))
        let missing = MessageLogError(
            "cannot remove journal.000002.log in \(path): No such file or directory")
        #expect(throws: missing) { try disk.remove(2) }
    }

    // MARK: Recycling

    private let length = RecycledFiles.minBytes + 100

    /// Creates and removes a file of `length` bytes.
    private func openWithSpare() throws -> FolderDisk {
        let disk = try open()
        try disk.create(1, startingWith: [])
        try write([[7, 7, 7, 7]], to: disk, at: length - 4)
        try disk.remove(1)
        #expect(try disk.files() == [])
        return disk
    }

    @Test func `recycles a removed file after its removal is synced`() throws {
        let disk = try openWithSpare()
        #expect(disk.nextFileRecycledEnd == 0, "a power failure could bring it back")
        #expect(syncing(disk) == .some(nil))
        #expect(disk.nextFileRecycledEnd == length && disk.recycledFileBytes == length)
        let start: StaticString = "new"
        try disk.create(2, startingWith: [Bytes(start: start.utf8Start, count: 3)])
        #expect(disk.nextFileRecycledEnd == 0 && disk.recycledFileBytes == 0)
        #expect(try disk.files() == [JournalFile(number: 2, byteCount: length)])
        #expect(try read(disk, 2, at: 0, count: 4) == Array("new\0".utf8))
        #expect(try read(disk, 2, at: length - 4, count: 9) == [7, 7, 7, 7])
    }

    @Test func `does not recycle a small file`() throws {
        let disk = try open()
        try disk.create(1, startingWith: [])
        try disk.truncate(1, to: RecycledFiles.minBytes - 1)
        try disk.remove(1)
        #expect(disk.recycledFileBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
    }

    @Test func `frees a recycled file that is not used`() throws {
        let disk = try openWithSpare()
        disk.removeIdleRecycledFiles()
        #expect(disk.recycledFileBytes == length, "it was removed recently")
        disk.removeIdleRecycledFiles()
        #expect(disk.recycledFileBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
    }

    @Test func `recycles at most the maximum number of files`() throws {
        let disk = try open()
        for file in 1...UInt32(RecycledFiles.maxCount + 1) {
            try disk.create(file, startingWith: [])
            try disk.truncate(file, to: RecycledFiles.minBytes)
            try disk.remove(file)
        }
        #expect(disk.recycledFileBytes == RecycledFiles.maxCount * RecycledFiles.minBytes)
    }

    /// A failed sync may lose the removal of a file, and the next sync does not report that.
    @Test func `does not recycle files that were removed before a failed sync`() throws {
        var recycled = RecycledFiles()
        recycled.append(.init(number: 1, descriptor: -1, byteCount: length))
        recycled.append(.init(number: 2, descriptor: -1, byteCount: length))
        let failed = recycled.removeNonDurable()
        #expect(failed.map(\.number) == [1, 2] && recycled.files == [])
        recycled.append(.init(number: 3, descriptor: -1, byteCount: length))
        recycled.markRemovalsDurable([3])
        #expect(recycled.removeNonDurable() == [] && recycled.next?.number == 3)
    }

    private static let mayMount = "it takes the right to mount a disk"

    /// A disk that is filled by a recycled file and by unrelated files.
    private func fullDisk() throws -> (SmallDisk, FolderDisk) {
        let small = try SmallDisk(mebibytes: 4)
        let disk = try FolderDisk(small.seen.path, on: loop)
        try disk.create(1, startingWith: [])
        try disk.reserve(3 << 20, in: 1)
        try disk.create(2, startingWith: [])
        try disk.remove(1)
        try small.put("filler", mebibytes: 1)
        #expect(disk.recycledFileBytes == 3 << 20 && disk.nextFileRecycledEnd == 0)
        return (small, disk)
    }

    @Test(.enabled(if: SmallDisk.isPossible, "\(mayMount)"))
    func `frees recycled files when the disk is full at the start of a file`() throws {
        let (small, disk) = try fullDisk()
        let beginning = [UInt8](repeating: 1, count: 100_000)
        try beginning.withUnsafeBytes { try disk.create(3, startingWith: [$0]) }
        #expect(disk.recycledFileBytes == 0)
        #expect(try read(disk, 3, at: 99_999, count: 2) == [1])
        withExtendedLifetime(small) {}
    }

    @Test(.enabled(if: SmallDisk.isPossible, "\(mayMount)"))
    func `frees recycled files when the disk is full during a write`() throws {
        let (small, disk) = try fullDisk()
        try disk.write([Bytes(start: StaticString("late").utf8Start, count: 4)], to: 2, at: 1 << 20)
        #expect(disk.recycledFileBytes == 0)
        #expect(try read(disk, 2, at: 1 << 20, count: 9) == Array("late".utf8))
        withExtendedLifetime(small) {}
    }

    @Test(.enabled(if: SmallDisk.isPossible, "\(mayMount)"))
    func `frees recycled files when the disk is full during a reservation`() throws {
        let (small, disk) = try fullDisk()
        try disk.reserve(2 << 20, in: 2)
        #expect(disk.recycledFileBytes == 0)
        withExtendedLifetime(small) {}
    }

    /// In this test, a folder that has the name of the recycled file prevents the rename.
    @Test func `deletes a removed file that cannot be renamed`() throws {
        let disk = try open()
        try disk.create(1, startingWith: [])
        try disk.truncate(1, to: length)
        let name = RecycledFiles.namePrefix + "1"
        try FileManager.default.createDirectory(
            atPath: folder.path(name), withIntermediateDirectories: false)
        try disk.remove(1)
        #expect(disk.recycledFileBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [name])
    }

    @Test func `deletes the recycled files of an earlier process`() throws {
        try put("what was", in: RecycledFiles.namePrefix + "1")
        let disk = try open()
        #expect(syncing(disk) == .some(nil), "after the removal of old files")
        #expect(disk.recycledFileBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
    }

    /// - Returns: the result of the sync; `nil` if it does not end.
    private func syncing(_ disk: FolderDisk) -> MessageLogError?? {
        var outcome: MessageLogError??
        disk.sync([1]) { [loop] error in
            outcome = .some(error)
            loop.stop()
        }
        #expect(outcome == nil, "in a later loop iteration")
        let guardian = Timer(on: loop)
        guardian.start(after: .seconds(Int(longestWait))) { [loop] in loop.stop() }
        loop.run()
        guardian.close()
        return outcome
    }
}
