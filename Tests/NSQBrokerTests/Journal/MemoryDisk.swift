import BrokerCore
import NSQBroker
import NSQWire

/// A journal's files in memory, on a disk of a size that can be chosen, whose calls fail as they are
/// told to. Syncs are done when the test says so.
final class MemoryDisk: JournalDisk {
    enum Call { case list, create, write, read, reserve, truncate, remove }

    var contents: [UInt32: [UInt8]] = [:]
    /// What all files may take.
    var capacity = Int.max
    /// Calls that fail, and what the system says to them.
    var failing: [Call: String] = [:]
    /// How much of a write comes to the disk before it fails.
    var bytesBeforeFailure = 0

    /// What stood in the files that were removed, if others are to be made of them.
    var spares: [[UInt8]]?

    private(set) var syncs: [Sync] = []

    struct Sync {
        var files: [UInt32]
        var done: (LedgerError?) -> Void
    }

    static let full = "No space left on device"
    static let broken = "Input/output error"

    /// Every sync that was asked for comes to its end.
    func finishSyncs(_ error: LedgerError? = nil) {
        while !syncs.isEmpty { syncs.removeFirst().done(error) }
    }

    private func expectWell(_ call: Call) throws(LedgerError) {
        if let reason = failing[call] { throw LedgerError(reason) }
    }

    /// What the file may be long at most.
    private func room(for file: UInt32) -> Int {
        capacity - contents.reduce(0) { $0 + ($1.key == file ? 0 : $1.value.count) }
    }

    // MARK: Files

    func files() throws(LedgerError) -> [JournalFile] {
        try expectWell(.list)
        return contents.map { JournalFile(number: $0.key, byteCount: $0.value.count) }
    }

    var remains: Int { spares?.last?.count ?? 0 }

    func create(_ file: UInt32, beginning slices: [Bytes]) throws(LedgerError) {
        try expectWell(.create)
        contents[file] = spares?.popLast() ?? []
        do throws(LedgerError) {
            try write(slices, to: file, at: 0)
        } catch {
            try? remove(file)
            throw error
        }
    }

    func remove(_ file: UInt32) throws(LedgerError) {
        try expectWell(.remove)
        if let content = contents.removeValue(forKey: file) { spares?.append(content) }
    }

    var spareBytes: Int { spares?.reduce(0) { $0 + $1.count } ?? 0 }

    func giveBackSpares() {
        if spares != nil { spares = [] }
    }

    // MARK: Bytes

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(LedgerError) {
        let bytes = slices.flatMap { Array($0) }
        let fitting = min(bytes.count, room(for: file) - offset)
        let isBroken = failing[.write] != nil
        put(bytes.prefix(isBroken ? min(fitting, bytesBeforeFailure) : fitting), offset, file)
        try expectWell(.write)
        guard fitting == bytes.count else { throw LedgerError(Self.full) }
    }

    private func put(_ bytes: ArraySlice<UInt8>, _ offset: Int, _ file: UInt32) {
        guard !bytes.isEmpty else { return }
        lengthen(file, to: offset + bytes.count)
        contents[file]!.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    private func lengthen(_ file: UInt32, to end: Int) {
        let missing = end - contents[file]!.count
        if missing > 0 { contents[file]! += [UInt8](repeating: 0, count: missing) }
    }

    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LedgerError) -> Int {
        try expectWell(.read)
        let part = contents[file]!.dropFirst(offset).prefix(buffer.count)
        buffer.copyBytes(from: part)
        return part.count
    }

    func reserve(_ end: Int, in file: UInt32) throws(LedgerError) {
        try expectWell(.reserve)
        guard end <= room(for: file) else { throw LedgerError(Self.full) }
        lengthen(file, to: end)
    }

    func truncate(_ file: UInt32, to end: Int) throws(LedgerError) {
        try expectWell(.truncate)
        contents[file] = Array(contents[file]!.prefix(end))
    }

    func sync(_ files: [UInt32], _ done: @escaping (LedgerError?) -> Void) {
        syncs.append(Sync(files: files, done: done))
    }
}
