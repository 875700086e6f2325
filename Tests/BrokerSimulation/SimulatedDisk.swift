import BrokerCore
import NSQBroker
import NSQWire
import TestKit

/// A disk as bad as disks can be: what was not synced may be lost at a power cut, whole or in
/// sectors, in any order; writes, reads and syncs fail; it is full; the process dies at any call.
final class SimulatedDisk: JournalDisk {
    /// What goes wrong at the moment.
    struct Troubles: Equatable {
        /// Percent of the calls that fail.
        var writes = 0
        var reads = 0
        var syncs = 0
        /// What all files may take.
        var capacity = Int.max
    }

    private(set) var contents: [UInt32: SimulatedFile] = [:]
    /// Removed, but not yet for good, in this order.
    private var removed: [(number: UInt32, file: SimulatedFile)] = []
    /// Removed for good: what others are made of.
    private var spares: [SimulatedFile.Extent] = []
    private var random: SeededGenerator

    var troubles = Troubles()
    /// Calls that have failed, other than syncs.
    private(set) var failures = 0
    /// The process dies when so many more calls were made.
    var callsToLive: Int?
    /// Nothing reaches the disk any more.
    private(set) var isDead = false

    /// A sync that was asked for and is not done.
    private(set) var openSync: OpenSync?
    /// Told of a sync as it is asked for.
    var whenSyncBegins: () -> Void = {}

    struct OpenSync {
        /// How many changes of each file it brings to the disk.
        var changes: [UInt32: Int]
        var done: (LedgerError?) -> Void
    }

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private func chance(_ percent: Int) -> Bool {
        percent > 0 && Int.random(in: 0..<100, using: &random) < percent
    }

    private func fail(_ what: String) -> LedgerError {
        failures += 1
        return LedgerError(what)
    }

    /// Every call passes here.
    private func live() throws(LedgerError) {
        if let left = callsToLive {
            callsToLive = left - 1
            if left <= 0 { isDead = true }
        }
        if isDead { throw fail("the process is dead") }
    }

    var usedBytes: Int { contents.values.reduce(spareBytes) { $0 + $1.cached.length } }

    // MARK: Files

    func files() throws(LedgerError) -> [JournalFile] {
        try live()
        if chance(troubles.reads) { throw fail("cannot list") }
        return contents.map { JournalFile(number: $0.key, byteCount: $0.value.cached.length) }
    }

    func create(_ file: UInt32, beginning slices: [Bytes]) throws(LedgerError) {
        try live()
        if chance(troubles.writes) { throw fail("cannot create") }
        contents[file] = spares.popLast().map(SimulatedFile.init) ?? fresh(file)
        do throws(LedgerError) {
            try write(slices, to: file, at: 0)
        } catch {
            try? remove(file)
            throw error
        }
    }

    private func fresh(_ file: UInt32) -> SimulatedFile {
        var fresh = contents[file] ?? removed.last { $0.number == file }?.file ?? SimulatedFile()
        removed.removeAll { $0.number == file }
        fresh.change(.truncate(to: 0))
        return fresh
    }

    var remains: Int { spares.last?.length ?? 0 }

    var spareBytes: Int { spares.reduce(0) { $0 + $1.length } }

    func giveBackSpares() { spares = [] }

    func remove(_ file: UInt32) throws(LedgerError) {
        try live()
        if chance(troubles.writes) { throw fail("cannot remove") }
        if let gone = contents.removeValue(forKey: file), gone.durable != nil {
            removed.append((file, gone))
        }
    }

    // MARK: Bytes

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(LedgerError) {
        let bytes = slices.flatMap { Array($0) }
        let room = troubles.capacity - usedBytes + contents[file]!.cached.length - offset
        let fits = bytes.count <= room
        let isWhole: Bool
        do throws(LedgerError) {
            try live()
            isWhole = fits && !chance(troubles.writes)
        } catch {
            // It dies within this write, unless it was dead before.
            if callsToLive == -1 { writePart(of: bytes, to: file, at: offset, room: room) }
            throw error
        }
        guard isWhole else {
            writePart(of: bytes, to: file, at: offset, room: room)
            throw fail(fits ? "Input/output error" : "No space left on device")
        }
        contents[file]!.change(.write(bytes, at: offset))
    }

    private func writePart(of bytes: [UInt8], to file: UInt32, at offset: Int, room: Int) {
        let count = Int.random(in: 0...max(0, min(bytes.count, room)), using: &random)
        guard count > 0 else { return }
        contents[file]!.change(.write(Array(bytes[..<count]), at: offset))
    }

    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LedgerError) -> Int {
        try live()
        guard let content = contents[file] else { throw fail("no such file") }
        if chance(troubles.reads) { throw fail("cannot read") }
        return content.cached.read(at: offset, into: buffer)
    }

    func reserve(_ end: Int, in file: UInt32) throws(LedgerError) {
        try live()
        let length = contents[file]!.cached.length
        guard length < end else { return }
        if usedBytes + end - length > troubles.capacity || chance(troubles.writes) {
            throw fail("cannot make room: No space left on device")
        }
        contents[file]!.change(.reserve(end))
    }

    func truncate(_ file: UInt32, to end: Int) throws(LedgerError) {
        try live()
        if chance(troubles.writes) { throw fail("cannot truncate") }
        contents[file]!.change(.truncate(to: end))
    }

    // MARK: Syncing

    func sync(_ files: [UInt32], _ done: @escaping (LedgerError?) -> Void) {
        precondition(openSync == nil, "one sync at a time")
        var changes: [UInt32: Int] = [:]
        for file in files { changes[file] = contents[file]?.unsynced.count }
        openSync = OpenSync(changes: changes, done: done)
        whenSyncBegins()
    }

    /// The sync that was asked for comes to its end.
    ///
    /// - Returns: whether it succeeded.
    func finishSync() -> Bool {
        guard let sync = openSync else { return true }
        openSync = nil
        if chance(troubles.syncs) {
            // What was written since is in the same pages: nobody will be told of its loss.
            for file in sync.changes.keys.sorted() { contents[file]?.loseSome(&random) }
            sync.done(LedgerError("cannot sync: Input/output error"))
            return false
        }
        for (file, count) in sync.changes { contents[file]?.bringToDisk(count) }
        for file in contents.keys { contents[file]!.nameIsSynced() }
        for gone in removed where chance(50) { spares.append(gone.file.cached) }
        removed = []
        sync.done(nil)
        return true
    }

    // MARK: Ends

    /// The process is gone; what it wrote is in the system's memory.
    func processEnded() {
        openSync = nil
        spares = []
        isDead = false
        callsToLive = nil
    }

    /// The machine is gone.
    func powerFailed() {
        // A file system keeps the order of what becomes of a folder's names.
        let gone = Int.random(in: 0...removed.count, using: &random)
        for (number, file) in removed[gone...] { contents[number] = file }
        removed = []
        let keep = [0, 20, 50, 80, 100].randomElement(using: &random)!
        for file in contents.keys.sorted() {
            contents[file]!.powerFailed(keep, &random)
            if contents[file]!.durable == nil { contents[file] = nil }
        }
    }

    /// A bit of old data changes.
    func flip(bit: Int, of file: UInt32, at offset: Int) {
        contents[file]?.flip(bit: bit, at: offset)
    }
}
