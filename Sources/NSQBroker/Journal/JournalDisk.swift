import BrokerCore
import NSQWire

/// The storage for a journal's files: a folder, or a simulated disk.
///
/// Written bytes survive the end of the process. Only synced bytes survive a power failure.
package protocol JournalDisk: AnyObject {
    /// Returns all files with their lengths, in no particular order.
    func files() throws(MessageLogError) -> [JournalFile]

    /// The number of old bytes in the recycled file that the next ``create(_:startingWith:)`` uses;
    /// 0 if it uses none.
    var nextFileRecycledEnd: Int { get }

    /// Creates a file that starts with the bytes of `slices`.
    ///
    /// - Throws: an error if the creation fails. The file may then exist with some of the bytes.
    func create(_ file: UInt32, startingWith slices: [Bytes]) throws(MessageLogError)

    /// Writes the bytes of `slices`, starting at the file offset `offset`.
    ///
    /// - Throws: an error if the write fails. Any part of the bytes may then have been written.
    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(MessageLogError)

    /// Reads bytes from a file into `buffer`.
    ///
    /// - Parameter offset: the byte offset in the file.
    /// - Returns: the number of read bytes, which is smaller than `buffer.count` only at the end of
    ///   the file.
    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MessageLogError) -> Int

    /// Returns the offset of the first byte at or after `offset` that is not in a hole of the file.
    /// A disk that does not know its holes returns `offset`.
    func nextData(in file: UInt32, from offset: Int) throws(MessageLogError) -> Int

    /// Allocates disk space up to the file offset `end`, and extends the file to at least that
    /// length.
    func reserve(_ end: Int, in file: UInt32) throws(MessageLogError)

    /// Changes the file's length to `end` bytes.
    func truncate(_ file: UInt32, to end: Int) throws(MessageLogError)

    /// Removes a file, or turns it into a recycled file.
    func remove(_ file: UInt32) throws(MessageLogError)

    /// The size of all recycled files, in bytes.
    var recycledFileBytes: Int { get }

    /// Deletes all recycled files.
    func removeRecycledFiles()

    /// Syncs the contents of some files, and the creation and removal of all files.
    ///
    /// - Parameters:
    ///   - files: the numbers of the files.
    ///   - done: a closure that is called in a later loop iteration, with the error of a failed
    ///     sync.
    func sync(_ files: [UInt32], _ done: @escaping (MessageLogError?) -> Void)
}

extension JournalDisk {
    package func nextData(in file: UInt32, from offset: Int) throws(MessageLogError) -> Int {
        offset
    }
}

/// The number and the length of one journal file.
package struct JournalFile: Hashable, Sendable {
    /// The file's number. Newer files have greater numbers.
    package var number: UInt32
    /// The file's length in bytes.
    package var byteCount: Int
    /// `false` for a folder, a pipe or another entry that has the name of a journal file. Such an
    /// entry is never opened.
    package var isRegular = true

    /// Describes a file without accessing the disk.
    package init(number: UInt32, byteCount: Int) {
        self.number = number
        self.byteCount = byteCount
    }

    /// The file's name, such as `journal.000001.log`.
    package var name: String { Self.name(of: number) }

    /// Returns the name of the file with this number. Up to the number 999,999, the names sort in
    /// the order of the numbers.
    package static func name(of number: UInt32) -> String {
        let digits = String(number)
        return "journal." + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            + ".log"
    }

    /// Returns `true` if `name` is the name of a journal file.
    package static func isName(_ name: String) -> Bool { number(in: name) != nil }

    /// Returns the file number in a name; `nil` if it is not the name of a journal file.
    package static func number(in name: String) -> UInt32? {
        guard name.hasPrefix("journal."), name.hasSuffix(".log"),
            let number = UInt32(name.dropFirst(8).dropLast(4)), name == self.name(of: number)
        else { return nil }
        return number
    }
}
