import BrokerCore
import NSQBroker
import NSQWire
import TestKit

/// An unreliable disk. A power failure loses any part of the unsynced changes, down to sectors.
/// Writes, reads and syncs may fail, the disk may be full, and the process may crash in any call.
final class SimulatedDisk: JournalDisk {
    /// The faults that are active.
    struct Faults: Equatable {
        /// The percentages of calls that fail.
        var writes = 0
        var reads = 0
        var syncs = 0
        /// The maximum size in bytes of all files.
        var capacity = Int.max
    }

    private(set) var contents: [UInt32: SimulatedFile] = [:]
    /// Removed files whose removal is not synced, in order of removal.
    private var removed: [(number: UInt32, file: SimulatedFile)] = []
    /// Removed files whose storage is recycled.
    private var recycled: [SimulatedFile.Extent] = []
    private var random: SeededGenerator

    var faults = Faults()
    /// The number of failed calls other than syncs.
    private(set) var failures = 0
    /// The number of calls until the process crashes; `nil` for no crash.
    var callsUntilCrash: Int?
    /// `true` if the process has crashed. Every call then fails.
    private(set) var hasCrashed = false

    /// The sync that is running.
    private(set) var pendingSync: PendingSync?
    /// Called when a sync starts.
    var onSyncStart: () -> Void = {}

    struct PendingSync {
        /// For each file, how many of its changes this sync covers.
        var changes: [UInt32: Int]
        var done: (MessageLogError?) -> Void
    }

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private func chance(_ percent: Int) -> Bool {
        percent > 0 && Int.random(in: 0..<100, using: &random) < percent
    }

    private func fail(_ what: String) -> MessageLogError {
        failures += 1
        return MessageLogError(what)
    }

    /// Counts a call and throws after the crash.
    private func checkAlive() throws(MessageLogError) {
        if let left = callsUntilCrash {
            callsUntilCrash = left - 1
            if left <= 0 { hasCrashed = true }
        }
        if hasCrashed { throw fail("the process has crashed") }
    }

    var usedBytes: Int { contents.values.reduce(recycledFileBytes) { $0 + $1.cached.length } }

    // MARK: Files

    func files() throws(MessageLogError) -> [JournalFile] {
        try checkAlive()
        if chance(faults.reads) { throw fail("cannot list") }
        return contents.map { JournalFile(number: $0.key, byteCount: $0.value.cached.length) }
    }

    func create(_ file: UInt32, startingWith slices: [Bytes]) throws(MessageLogError) {
        try checkAlive()
        if chance(faults.writes) { throw fail("cannot create") }
        contents[file] = recycled.popLast().map(SimulatedFile.init) ?? fresh(file)
        do throws(MessageLogError) {
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

    var nextFileRecycledEnd: Int { recycled.last?.length ?? 0 }

    var recycledFileBytes: Int { recycled.reduce(0) { $0 + $1.length } }

    func removeRecycledFiles() { recycled = [] }

    func remove(_ file: UInt32) throws(MessageLogError) {
        try checkAlive()
        if chance(faults.writes) { throw fail("cannot remove") }
        if let gone = contents.removeValue(forKey: file), gone.durable != nil {
            removed.append((file, gone))
        }
    }

    // MARK: Bytes

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(MessageLogError) {
        let bytes = slices.flatMap { Array($0) }
        let room = faults.capacity - usedBytes + contents[file]!.cached.length - offset
        let fits = bytes.count <= room
        let isWhole: Bool
        do throws(MessageLogError) {
            try checkAlive()
            isWhole = fits && !chance(faults.writes)
        } catch {
            // The crash happens during this write, which stores a part of the bytes.
            if callsUntilCrash == -1 { writePart(of: bytes, to: file, at: offset, room: room) }
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
    ) throws(MessageLogError) -> Int {
        try checkAlive()
        guard let content = contents[file] else { throw fail("no such file") }
        if chance(faults.reads) { throw fail("cannot read") }
        return content.cached.read(at: offset, into: buffer)
    }

    func reserve(_ end: Int, in file: UInt32) throws(MessageLogError) {
        try checkAlive()
        let length = contents[file]!.cached.length
        guard length < end else { return }
        if usedBytes + end - length > faults.capacity || chance(faults.writes) {
            throw fail("cannot reserve space: No space left on device")
        }
        contents[file]!.change(.reserve(end))
    }

    func truncate(_ file: UInt32, to end: Int) throws(MessageLogError) {
        try checkAlive()
        if chance(faults.writes) { throw fail("cannot truncate") }
        contents[file]!.change(.truncate(to: end))
    }

    // MARK: Syncing

    func sync(_ files: [UInt32], _ done: @escaping (MessageLogError?) -> Void) {
        precondition(pendingSync == nil, "one sync at a time")
        var changes: [UInt32: Int] = [:]
        for file in files { changes[file] = contents[file]?.unsynced.count }
        pendingSync = PendingSync(changes: changes, done: done)
        onSyncStart()
    }

    /// Completes the running sync.
    ///
    /// - Returns: `true` if it succeeded.
    func finishSync() -> Bool {
        guard let sync = pendingSync else { return true }
        pendingSync = nil
        if chance(faults.syncs) {
            // The system also drops later writes to the same pages, without another error.
            for file in sync.changes.keys.sorted() { contents[file]?.loseSomeChanges(&random) }
            sync.done(MessageLogError("cannot sync: Input/output error"))
            return false
        }
        for (file, count) in sync.changes { contents[file]?.syncChanges(count) }
        for file in contents.keys { contents[file]!.syncName() }
        for gone in removed where chance(50) { recycled.append(gone.file.cached) }
        removed = []
        sync.done(nil)
        return true
    }

    // MARK: Crashes

    /// Ends the process. All written bytes stay in the page cache.
    func processEnded() {
        pendingSync = nil
        recycled = []
        hasCrashed = false
        callsUntilCrash = nil
    }

    /// Loses unsynced changes.
    func powerFailed() {
        // A file system keeps the order of changes to a folder, so the first few removals survive.
        let gone = Int.random(in: 0...removed.count, using: &random)
        for (number, file) in removed[gone...] { contents[number] = file }
        removed = []
        let keep = [0, 20, 50, 80, 100].randomElement(using: &random)!
        for file in contents.keys.sorted() {
            contents[file]!.powerFailed(keep, &random)
            if contents[file]!.durable == nil { contents[file] = nil }
        }
    }

    /// Flips a bit of a file.
    func flip(bit: Int, of file: UInt32, at offset: Int) {
        contents[file]?.flip(bit: bit, at: offset)
    }
}
