import BrokerCore
import Glibc
import NSQWire

/// A journal's files, to be read and left as they are.
final class QuietDisk: JournalDisk {
    private let folder: QuietFolder
    private var open: [UInt32: Int32] = [:]

    init(_ folder: QuietFolder) { self.folder = folder }

    deinit {
        for descriptor in open.values { close(descriptor) }
    }

    func files() throws(LedgerError) -> [JournalFile] {
        var files: [JournalFile] = []
        for number in try folder.names().compactMap(JournalFile.number) {
            let count = try Files.byteCount(of: descriptor(number), folder.path)
            files.append(JournalFile(number: number, byteCount: count))
        }
        return files
    }

    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LedgerError) -> Int {
        try Files.read(descriptor(file), at: offset, into: buffer, folder.path)
    }

    private func descriptor(_ file: UInt32) throws(LedgerError) -> Int32 {
        if let descriptor = open[file] { return descriptor }
        let descriptor = try folder.open(JournalFile.name(of: file))
        open[file] = descriptor
        return descriptor
    }

    // MARK: What is not done

    var remains: Int { 0 }

    var spareBytes: Int { 0 }

    func giveBackSpares() {}

    func create(_ file: UInt32, beginning slices: [Bytes]) throws(LedgerError) { throw refusal }

    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(LedgerError) {
        throw refusal
    }

    func reserve(_ end: Int, in file: UInt32) throws(LedgerError) { throw refusal }

    func truncate(_ file: UInt32, to end: Int) throws(LedgerError) { throw refusal }

    func remove(_ file: UInt32) throws(LedgerError) { throw refusal }

    func sync(_ files: [UInt32], _ done: @escaping (LedgerError?) -> Void) { done(refusal) }

    private var refusal: LedgerError { LedgerError("\(folder.path) is only read") }
}
