import BrokerCore
import NSQBroker
import NSQWire

/// A journal's files in memory, on a disk of a size that can be chosen. Syncs are done at once.
final class MemoryDisk: JournalDisk {
    var contents: [UInt32: [UInt8]] = [:]
    /// What all files may take.
    var capacity = Int.max
    private(set) var syncs: [(LedgerError?) -> Void] = []

    private func expectRoom(_ end: Int, _ file: UInt32) throws(LedgerError) {
        let others = contents.reduce(0) { $0 + ($1.key == file ? 0 : $1.value.count) }
        guard others + end <= capacity else { throw LedgerError("No space left on device") }
    }

    func files() -> [JournalFile] {
        contents.map { JournalFile(number: $0.key, byteCount: $0.value.count) }
    }

    func create(_ file: UInt32) { contents[file] = [] }

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(LedgerError) {
        let bytes = slices.flatMap { Array($0) }
        try expectRoom(offset + bytes.count, file)
        try reserve(offset + bytes.count, in: file)
        contents[file]!.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        let part = contents[file]!.dropFirst(offset).prefix(buffer.count)
        buffer.copyBytes(from: part)
        return part.count
    }

    func reserve(_ end: Int, in file: UInt32) throws(LedgerError) {
        try expectRoom(end, file)
        let missing = end - contents[file]!.count
        if missing > 0 { contents[file]! += [UInt8](repeating: 0, count: missing) }
    }

    func truncate(_ file: UInt32, to end: Int) {
        contents[file] = Array(contents[file]!.prefix(end))
    }

    func remove(_ file: UInt32) { contents[file] = nil }

    func sync(_ files: [UInt32], _ done: @escaping (LedgerError?) -> Void) { syncs.append(done) }

    /// Every sync that was asked for comes to its end.
    func finishSyncs(_ error: LedgerError? = nil) {
        while !syncs.isEmpty { syncs.removeFirst()(error) }
    }
}
