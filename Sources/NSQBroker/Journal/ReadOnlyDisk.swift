import BrokerCore
import Glibc
import NSQWire

/// The files of a journal in a folder, for reading only.
final class ReadOnlyDisk: JournalDisk {
    private let folder: LockedFolder
    private var open = OpenFiles()

    init(_ folder: LockedFolder) { self.folder = folder }

    deinit {
        for descriptor in open.removeAll() { close(descriptor) }
    }

    func files() throws(MessageLogError) -> [JournalFile] {
        try FileCalls.journalFiles(in: folder.descriptor, folder.path)
    }

    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MessageLogError) -> Int {
        try FileCalls.read(descriptor(file), at: offset, into: buffer, folder.path)
    }

    func nextData(in file: UInt32, from offset: Int) throws(MessageLogError) -> Int {
        FileCalls.nextData(try descriptor(file), from: offset)
    }

    private func descriptor(_ file: UInt32) throws(MessageLogError) -> Int32 {
        if let descriptor = open[file] { return descriptor }
        let descriptor = try folder.open(JournalFile.name(of: file))
        if let evicted = open.add(file, descriptor) { close(evicted) }
        return descriptor
    }

    // MARK: Unsupported operations

    var nextFileRecycledEnd: Int { 0 }

    var recycledFileBytes: Int { 0 }

    func removeRecycledFiles() {}

    func create(_ file: UInt32, startingWith slices: [Bytes]) throws(MessageLogError) {
        throw refusal
    }

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(MessageLogError) {
        throw refusal
    }

    func reserve(_ end: Int, in file: UInt32) throws(MessageLogError) { throw refusal }

    func truncate(_ file: UInt32, to end: Int) throws(MessageLogError) { throw refusal }

    func remove(_ file: UInt32) throws(MessageLogError) { throw refusal }

    func sync(_ files: [UInt32], _ done: @escaping (MessageLogError?) -> Void) { done(refusal) }

    private var refusal: MessageLogError {
        MessageLogError("\(folder.path) is open for reading only")
    }
}
