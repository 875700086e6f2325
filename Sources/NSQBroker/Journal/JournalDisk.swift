import BrokerCore
import NSQWire

/// The files of a journal: a folder on a disk, or a simulation of one.
///
/// What is written counts for a broker that is started again at once; what is synced, for one
/// after a power cut.
package protocol JournalDisk: AnyObject {
    /// Every file there is, with its length.
    func files() throws(LedgerError) -> [JournalFile]

    /// How long the next file is from the beginning: as the removed one that it is made of, whose
    /// bytes stand in it yet; 0 if there is none to make it of.
    var remains: Int { get }

    /// Begins a file with `slices`, one behind the other.
    ///
    /// - Throws: and there is no such file, or one with a part of them.
    func create(_ file: UInt32, beginning slices: [Bytes]) throws(LedgerError)

    /// Writes all slices one behind the other, from `offset` on.
    ///
    /// - Throws: with any part of it written, or none.
    func write(_ slices: [Bytes], to file: UInt32, at offset: Int) throws(LedgerError)

    /// - Returns: how many bytes it read: fewer than asked for only at the file's end.
    func read(
        _ file: UInt32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LedgerError) -> Int

    /// Makes sure that the file can be written up to `end`, and be `end` long at least.
    func reserve(_ end: Int, in file: UInt32) throws(LedgerError)

    func truncate(_ file: UInt32, to end: Int) throws(LedgerError)

    func remove(_ file: UInt32) throws(LedgerError)

    /// What removed files take that others are to be made of.
    var spareBytes: Int { get }

    /// Does without them.
    func giveBackSpares()

    /// Brings the files, and the names of new ones, to the disk for good, and then calls `done`,
    /// on a later turn.
    func sync(_ files: [UInt32], _ done: @escaping (LedgerError?) -> Void)
}

package struct JournalFile: Hashable, Sendable {
    package var number: UInt32
    package var byteCount: Int

    package init(number: UInt32, byteCount: Int) {
        self.number = number
        self.byteCount = byteCount
    }

    /// `journal.000001.log`; where it was written, say so.
    package var name: String { Self.name(of: number) }

    package static func name(of number: UInt32) -> String {
        let digits = String(number)
        return "journal." + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            + ".log"
    }

    package static func number(in name: String) -> UInt32? {
        guard name.hasPrefix("journal."), name.hasSuffix(".log"),
            let number = UInt32(name.dropFirst(8).dropLast(4)), name == self.name(of: number)
        else { return nil }
        return number
    }
}
