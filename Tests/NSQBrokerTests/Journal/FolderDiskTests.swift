import BrokerCore
import Foundation
import NSQWire
import TestKit
import Testing
import UVLoop

@testable import NSQBroker

@Suite struct `A folder for a journal` {
    private let folder: TemporaryFolder
    private let loop: Loop
    private var path: String { folder.url.path }

    init() throws {
        folder = try TemporaryFolder()
        loop = try Loop()
    }

    private func open() throws(LedgerError) -> FolderDisk { try FolderDisk(path, on: loop) }

    private func put(_ text: String, in name: String) throws {
        try Data(text.utf8).write(to: folder.url.appending(component: name))
    }

    private func text(of name: String) throws -> String {
        String(decoding: try Data(contentsOf: folder.url.appending(component: name)), as: UTF8.self)
    }

    @Test func `is one broker's, and another's once that has let go of it`() throws {
        var first: FolderDisk? = try open()
        let refusal = LedgerError(
            "failed to lock data-path: cannot flock directory \(path) - Resource temporarily "
                + "unavailable (possibly in use by another instance of nsqd)")
        #expect(throws: refusal) { try open() }
        try first?.create(1, beginning: [])
        first = nil
        #expect(try open().files() == [JournalFile(number: 1, byteCount: 0)])
    }

    @Test func `is refused if it is not there, or no folder`() throws {
        let missing = folder.path("none")
        #expect(throws: LedgerError("cannot open data-path \(missing): No such file or directory"))
        {
            try FolderDisk(missing, on: loop)
        }
        try put("text", in: "file")
        let file = folder.path("file")
        #expect(throws: LedgerError("cannot open data-path \(file): Not a directory")) {
            try FolderDisk(file, on: loop)
        }
        #expect(try text(of: "file") == "text")
    }

    @Test func `is refused if what is named like a file of it is none`() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path("journal.000001.log"), withIntermediateDirectories: false)
        let disk = try open()
        #expect(throws: LedgerError("cannot open journal.000001.log in \(path): Is a directory")) {
            try disk.files()
        }
    }

    @Test func `may hold files of others, which are left alone`() throws {
        let others = [
            "nsqd.dat", "journal.log", "journal.1.log", "journal.+00001.log", "journal.000001.log~",
            "old.journal.000001.log", "journal.99999999999.log",
        ]
        for name in others { try put(name, in: name) }
        let disk = try open()
        #expect(try disk.files() == [])
        try disk.create(1, beginning: [])
        try disk.create(2, beginning: [])
        try disk.remove(1)
        #expect(try disk.files() == [JournalFile(number: 2, byteCount: 0)])
        for name in others { #expect(try text(of: name) == name) }
    }

    @Test func `has what was written, in however many pieces`() throws {
        let disk = try open()
        try disk.create(1, beginning: [])
        // More than the system takes at once.
        let pieces = (0..<3_000).map { Array("\($0),".utf8) }
        let all = pieces.flatMap { $0 }
        try write(pieces, to: disk, at: 64)
        #expect(try disk.files() == [JournalFile(number: 1, byteCount: 64 + all.count)])
        #expect(try read(disk, at: 64, count: all.count + 10) == all)
        #expect(try read(disk, at: 0, count: 4) == [0, 0, 0, 0])
    }

    /// Each piece in memory of its own.
    private func write(
        _ pieces: [[UInt8]], to disk: FolderDisk, at offset: Int
    ) throws(LedgerError) {
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

    @Test func `makes files longer and shorter, and never shorter to make room`() throws {
        let disk = try open()
        try disk.create(1, beginning: [])
        try disk.reserve(10_000, in: 1)
        #expect(try disk.files().map(\.byteCount) == [10_000])
        try disk.reserve(5_000, in: 1)
        #expect(try disk.files().map(\.byteCount) == [10_000])
        try disk.truncate(1, to: 100)
        #expect(try disk.files().map(\.byteCount) == [100])
    }

    @Test func `is synced in its own time`() throws {
        let disk = try open()
        try disk.create(1, beginning: [])
        #expect(syncing(disk) == .some(nil))
    }

    /// `/dev/full` is full, and cannot be synced.
    @Test func `says what the system says`() throws {
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("journal.000001.log"), withDestinationPath: "/dev/full")
        let disk = try open()
        let full = LedgerError("cannot write in \(path): No space left on device")
        #expect(throws: full) {
            try write([[1, 2, 3]], to: disk, at: 0)
        }
        #expect(syncing(disk) == LedgerError("cannot sync \(path): Invalid argument"))
        let missing = LedgerError(
            "cannot remove journal.000002.log in \(path): No such file or directory")
        #expect(throws: missing) { try disk.remove(2) }
    }

    // MARK: Spares

    private let length = SpareFiles.minBytes + 100

    /// A file of that length, removed.
    private func openWithSpare() throws -> FolderDisk {
        let disk = try open()
        try disk.create(1, beginning: [])
        try write([[7, 7, 7, 7]], to: disk, at: length - 4)
        try disk.remove(1)
        #expect(try disk.files() == [])
        return disk
    }

    @Test func `makes a file of one that was removed, once that is so for good`() throws {
        let disk = try openWithSpare()
        #expect(disk.remains == 0, "it would come back after a power cut")
        #expect(syncing(disk) == .some(nil))
        #expect(disk.remains == length && disk.spareBytes == length)
        let beginning: StaticString = "new"
        try disk.create(2, beginning: [Bytes(start: beginning.utf8Start, count: 3)])
        #expect(disk.remains == 0 && disk.spareBytes == 0)
        #expect(try disk.files() == [JournalFile(number: 2, byteCount: length)])
        #expect(try read(disk, 2, at: 0, count: 4) == Array("new\0".utf8))
        #expect(try read(disk, 2, at: length - 4, count: 9) == [7, 7, 7, 7])
    }

    @Test func `keeps no small file to make another of`() throws {
        let disk = try open()
        try disk.create(1, beginning: [])
        try disk.truncate(1, to: SpareFiles.minBytes - 1)
        try disk.remove(1)
        #expect(disk.spareBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
    }

    @Test func `gives back what no file was made of`() throws {
        let disk = try openWithSpare()
        disk.giveBackIdleSpares()
        #expect(disk.spareBytes == length, "it has not been there for long")
        disk.giveBackIdleSpares()
        #expect(disk.spareBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
    }

    @Test func `keeps as many as there are descriptors to spare, and no more`() throws {
        let disk = try open()
        for file in 1...UInt32(SpareFiles.most + 1) {
            try disk.create(file, beginning: [])
            try disk.truncate(file, to: SpareFiles.minBytes)
            try disk.remove(file)
        }
        #expect(disk.spareBytes == SpareFiles.most * SpareFiles.minBytes)
    }

    /// Their going may not be on the disk, and the next sync would not say so.
    @Test func `makes no file of what was removed before a sync that failed`() throws {
        var spares = SpareFiles()
        spares.append(.init(number: 1, descriptor: -1, byteCount: length))
        spares.append(.init(number: 2, descriptor: -1, byteCount: length))
        let failed = spares.removeDoubtful()
        #expect(failed.map(\.number) == [1, 2] && spares.all == [])
        spares.append(.init(number: 3, descriptor: -1, byteCount: length))
        spares.syncEnded([3])
        #expect(spares.removeDoubtful() == [] && spares.next?.number == 3)
    }

    private static let mayMount = "it takes the right to mount a disk"

    /// A disk that a spare and what others put there fill.
    private func fullDisk() throws -> (SmallDisk, FolderDisk) {
        let small = try SmallDisk(mebibytes: 4)
        let disk = try FolderDisk(small.seen.path, on: loop)
        try disk.create(1, beginning: [])
        try disk.reserve(3 << 20, in: 1)
        try disk.create(2, beginning: [])
        try disk.remove(1)
        try small.put("filler", mebibytes: 1)
        #expect(disk.spareBytes == 3 << 20 && disk.remains == 0)
        return (small, disk)
    }

    @Test(.enabled(if: SmallDisk.isPossible, "\(mayMount)"))
    func `gives back what it kept when there is no room for the beginning of a file`() throws {
        let (small, disk) = try fullDisk()
        let beginning = [UInt8](repeating: 1, count: 100_000)
        try beginning.withUnsafeBytes { try disk.create(3, beginning: [$0]) }
        #expect(disk.spareBytes == 0)
        #expect(try read(disk, 3, at: 99_999, count: 2) == [1])
        withExtendedLifetime(small) {}
    }

    @Test(.enabled(if: SmallDisk.isPossible, "\(mayMount)"))
    func `gives back what it kept when there is no room for what is written`() throws {
        let (small, disk) = try fullDisk()
        try disk.write([Bytes(start: StaticString("late").utf8Start, count: 4)], to: 2, at: 1 << 20)
        #expect(disk.spareBytes == 0)
        #expect(try read(disk, 2, at: 1 << 20, count: 9) == Array("late".utf8))
        withExtendedLifetime(small) {}
    }

    @Test(.enabled(if: SmallDisk.isPossible, "\(mayMount)"))
    func `gives back what it kept when there is no room to set aside`() throws {
        let (small, disk) = try fullDisk()
        try disk.reserve(2 << 20, in: 2)
        #expect(disk.spareBytes == 0)
        withExtendedLifetime(small) {}
    }

    /// A folder that is where it would be cannot be replaced.
    @Test func `removes a file for good if it cannot be kept`() throws {
        let disk = try open()
        try disk.create(1, beginning: [])
        try disk.truncate(1, to: length)
        let name = SpareFiles.prefix + "1"
        try FileManager.default.createDirectory(
            atPath: folder.path(name), withIntermediateDirectories: false)
        try disk.remove(1)
        #expect(disk.spareBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [name])
    }

    @Test func `has no more of what another broker kept to make files of`() throws {
        try put("what was", in: SpareFiles.prefix + "1")
        let disk = try open()
        #expect(syncing(disk) == .some(nil), "after what was asked for before")
        #expect(disk.spareBytes == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == [])
    }

    /// - Returns: what the sync said; `nil` if it never ends.
    private func syncing(_ disk: FolderDisk) -> LedgerError?? {
        var outcome: LedgerError??
        disk.sync([1]) { [loop] error in
            outcome = .some(error)
            loop.stop()
        }
        #expect(outcome == nil, "on a later turn")
        let guardian = Timer(on: loop)
        guardian.start(after: .seconds(10)) { [loop] in loop.stop() }
        loop.run()
        guardian.close()
        return outcome
    }
}
