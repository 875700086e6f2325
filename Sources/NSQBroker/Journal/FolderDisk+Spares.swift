import BrokerCore
import Glibc
import NSQWire
import UVLoop

/// How files become others, and what is kept for that is given back.
extension FolderDisk {
    /// What an earlier broker has kept. The system takes its time for it, and nobody is to wait.
    func removeSparesOfBefore() throws(LedgerError) {
        let names = try Files.names(in: path).filter { $0.hasPrefix(SpareFiles.prefix) }
        syncer.door.submit { [folder] _ in
            for name in names { unlinkat(folder, name, 0) }
        }
    }

    var remains: Int { spares.next?.byteCount ?? 0 }

    var spareBytes: Int { spares.byteCount }

    func giveBackSpares() { giveBackByTheWay(spares.removeAll()) }

    /// Gives back those that were not needed since the last time.
    func giveBackIdleSpares() { giveBackByTheWay(spares.removeIdle()) }

    private func giveBackByTheWay(_ spares: [SpareFiles.Spare]) {
        for spare in spares {
            unlinkat(folder, spare.name, 0)
            closeByTheWay(spare.descriptor)
        }
    }

    func giveBack(_ spare: SpareFiles.Spare) {
        unlinkat(folder, spare.name, 0)
        Glibc.close(spare.descriptor)
    }

    /// Calls into the system, and once more if there was no room: without the spares there may be.
    func makingRoom<Result: SignedInteger>(_ call: () -> Result) -> Result {
        let result = call()
        guard result < 0, errno == ENOSPC || errno == EDQUOT, !spares.all.isEmpty else {
            return result
        }
        for spare in spares.removeAll() { giveBack(spare) }
        return call()
    }

    /// It has its name once its beginning is written: who finds it finds no earlier file's.
    func make(
        _ file: UInt32, of spare: SpareFiles.Spare, beginning slices: [Bytes]
    ) throws(LedgerError) {
        spares.remove(spare)
        do throws(LedgerError) {
            try write(slices, toOpen: spare.descriptor, at: 0)
            guard renameat(folder, spare.name, folder, JournalFile.name(of: file)) == 0 else {
                throw failure("cannot rename \(spare.name)")
            }
            open[file] = spare.descriptor
        } catch {
            giveBack(spare)
            throw error
        }
    }

    /// What it can be, if it is of use.
    func spare(of file: UInt32) throws(LedgerError) -> SpareFiles.Spare? {
        guard let descriptor = open[file] else { return nil }
        let byteCount = try Files.byteCount(of: descriptor, path)
        guard spares.hasUse(for: byteCount) else { return nil }
        return SpareFiles.Spare(number: file, descriptor: descriptor, byteCount: byteCount)
    }

    /// The system takes its time to give back what a removed file took.
    func closeByTheWay(_ descriptor: Int32) {
        syncer.door.submit { _ in Glibc.close(descriptor) }
    }

    /// A sync has ended that began when these were spares already.
    func syncEnded(withSpares gone: Set<UInt32>, _ error: LedgerError?) {
        if error == nil {
            spares.syncEnded(gone)
        } else {
            giveBackByTheWay(spares.removeDoubtful())
        }
    }
}
