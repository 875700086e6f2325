import BrokerCore
import NSQBroker
import NSQWire

/// An in-memory disk with a configurable size and failures. Tests complete its syncs.
final class MemoryDisk: JournalDisk {
    enum Call { case list, create, write, read, reserve, truncate, remove }

    var contents: [UInt32: [UInt8]] = [:]
    /// The maximum size in bytes of all files.
    var capacity = Int.max
    /// The calls that fail, with their error text.
    var failing: [Call: String] = [:]
    /// The number of bytes that a failing write stores.
    var bytesBeforeFailure = 0

    /// The contents of removed files; `nil` if files are not recycled.
    var recycled: [[UInt8]]?

    private(set) var syncs: [Sync] = []
    /// The number of bytes that were read.
    private(set) var readByteCount = 0
    /// The places of all writes, in the order of the writes.
    private(set) var writes: [(file: UInt32, range: Range<Int>)] = []

    struct Sync {
        var files: [UInt32]
        var done: (MessageLogError?) -> Void
    }

    static let full = "No space left on device"
    static let broken = "Input/output error"

    /// Completes all pending syncs.
    func finishSyncs(_ error: MessageLogError? = nil) {
        while !syncs.isEmpty { syncs.removeFirst().done(error) }
    }

    private func failIfRequested(_ call: Call) throws(MessageLogError) {
        if let reason = failing[call] { throw MessageLogError(reason) }
    }

    /// The maximum length of the file in bytes.
    private func maxLength(of file: UInt32) -> Int {
        capacity - contents.reduce(0) { $0 + ($1.key == file ? 0 : $1.value.count) }
    }

    // MARK: Files

    func files() throws(MessageLogError) -> [JournalFile] {
        try failIfRequested(.list)
        return contents.map { JournalFile(number: $0.key, byteCount: $0.value.count) }
    }

    var nextFileRecycledEnd: Int { recycled?.last?.count ?? 0 }

    func create(_ file: UInt32, startingWith slices: [Bytes]) throws(MessageLogError) {
        try failIfRequested(.create)
        contents[file] = recycled?.popLast() ?? []
        do throws(MessageLogError) {
            try write(slices, to: file, at: 0)
        } catch {
            try? remove(file)
            throw error
        }
    }

    func remove(_ file: UInt32) throws(MessageLogError) {
        try failIfRequested(.remove)
        if let content = contents.removeValue(forKey: file) { recycled?.append(content) }
    }

    var recycledFileBytes: Int { recycled?.reduce(0) { $0 + $1.count } ?? 0 }

    func removeRecycledFiles() {
        if recycled != nil { recycled = [] }
    }

    // MARK: Bytes

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(MessageLogError) {
        let bytes = slices.flatMap { Array($0) }
        let fitting = min(bytes.count, maxLength(of: file) - offset)
        let isBroken = failing[.write] != nil
        put(bytes.prefix(isBroken ? min(fitting, bytesBeforeFailure) : fitting), offset, file)
        try failIfRequested(.write)
        guard fitting == bytes.count else { throw MessageLogError(Self.full) }
    }

    private func put(_ bytes: ArraySlice<UInt8>, _ offset: Int, _ file: UInt32) {
        guard !bytes.isEmpty else { return }
        writes.append((file, offset..<offset + bytes.count))
        lengthen(file, to: offset + bytes.count)
        contents[file]!.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    private func lengthen(_ file: UInt32, to end: Int) {
        let missing = end - contents[file]!.count
        if missing > 0 { contents[file]! += [UInt8](repeating: 0, count: missing) }
    }

    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MessageLogError) -> Int {
        try failIfRequested(.read)
        let part = contents[file]!.dropFirst(offset).prefix(buffer.count)
        buffer.copyBytes(from: part)
        readByteCount += part.count
        return part.count
    }

    func reserve(_ end: Int, in file: UInt32) throws(MessageLogError) {
        try failIfRequested(.reserve)
        guard end <= maxLength(of: file) else { throw MessageLogError(Self.full) }
        lengthen(file, to: end)
    }

    func truncate(_ file: UInt32, to end: Int) throws(MessageLogError) {
        try failIfRequested(.truncate)
        contents[file] = Array(contents[file]!.prefix(end))
    }

    func sync(_ files: [UInt32], _ done: @escaping (MessageLogError?) -> Void) {
        syncs.append(Sync(files: files, done: done))
    }
}
