import BrokerCore
import Glibc
import NSQWire
import UVLoop

/// Renames removed journal files to recycled files, turns recycled files into new journal files, and
/// deletes recycled files. Freeing disk space is slow, so the sync thread usually does it. The
/// calling thread does it only if the disk is full, and when the journal is closed.
final class FileRecycler {
    private var recycled = RecycledFiles()
    private let path: String
    /// The descriptor of the folder, which the owner of the recycler closes.
    private let folder: Int32
    private let syncThread: LoopMailbox

    init(_ path: String, _ folder: Int32, _ syncThread: LoopMailbox) {
        self.path = path
        self.folder = folder
        self.syncThread = syncThread
    }

    var next: RecycledFiles.File? { recycled.next }

    var byteCount: Int { recycled.byteCount }

    /// The file numbers that the recycled files had as journal files.
    var numbers: Set<UInt32> { Set(recycled.files.map(\.number)) }

    /// Deletes the recycled files of an earlier process.
    func removeOldFiles() throws(MessageLogError) {
        let names = try FileCalls.names(in: path) { $0.hasPrefix(RecycledFiles.namePrefix) }
        syncThread.submit { [folder] _ in
            for name in names { unlinkat(folder, name, 0) }
        }
    }

    /// Turns a removed journal file into a recycled file, if this saves time and the rename
    /// succeeds.
    ///
    /// - Parameters:
    ///   - number: the file number.
    ///   - descriptor: the open descriptor of the file; `nil` if the file is not open.
    /// - Returns: `true` if the file was recycled, and the recycler now owns its descriptor.
    func recycle(_ number: UInt32, _ descriptor: Int32?) throws(MessageLogError) -> Bool {
        guard let descriptor else { return false }
        let byteCount = try FileCalls.byteCount(of: descriptor, path)
        guard recycled.shouldRecycle(byteCount: byteCount) else { return false }
        let file = RecycledFiles.File(
            number: number, descriptor: descriptor, byteCount: byteCount)
        guard renameat(folder, JournalFile.name(of: number), folder, file.name) == 0
        else { return false }
        recycled.append(file)
        return true
    }

    /// Turns a recycled file into a journal file. The file is renamed after `write` has written its
    /// start, so that recovery never finds the old header under the new name.
    ///
    /// - Parameters:
    ///   - number: the number of the new journal file.
    ///   - write: a closure that writes the start of the file to a descriptor.
    /// - Returns: the descriptor of the file.
    func create(
        _ number: UInt32, from file: RecycledFiles.File,
        _ write: (Int32) throws(MessageLogError) -> Void
    ) throws(MessageLogError) -> Int32 {
        recycled.remove(file)
        do throws(MessageLogError) {
            try write(file.descriptor)
            guard renameat(folder, file.name, folder, JournalFile.name(of: number)) == 0
            else { throw FileCalls.failure("cannot rename \(file.name) in", "\(path)") }
            return file.descriptor
        } catch {
            delete(file)
            throw error
        }
    }

    /// Makes a system call. If the call fails because the disk is full, frees the recycled files
    /// and makes the call again.
    func retryingWhenFull<Result: SignedInteger>(_ call: () -> Result) -> Result {
        let result = call()
        guard result < 0, errno == ENOSPC || errno == EDQUOT, !recycled.files.isEmpty else {
            return result
        }
        deleteAll()
        return call()
    }

    /// Updates the state of the recycled files after a sync.
    ///
    /// - Parameters:
    ///   - numbers: the value of ``numbers`` when the sync started.
    ///   - error: the error of the sync; `nil` if it succeeded.
    func didSync(removalsOf numbers: Set<UInt32>, _ error: MessageLogError?) {
        if error == nil {
            recycled.markRemovalsDurable(numbers)
        } else {
            deleteInBackground(recycled.removeNonDurable())
        }
    }

    // MARK: Freeing disk space

    func removeAll() { deleteInBackground(recycled.removeAll()) }

    /// Frees the recycled files that stayed unused since the last call.
    func removeIdle() { deleteInBackground(recycled.removeIdle()) }

    /// Closes the descriptor of a removed file on the sync thread.
    func closeInBackground(_ descriptor: Int32) {
        syncThread.submit { _ in Glibc.close(descriptor) }
    }

    private func deleteInBackground(_ files: [RecycledFiles.File]) {
        for file in files {
            unlinkat(folder, file.name, 0)
            closeInBackground(file.descriptor)
        }
    }

    /// Frees all recycled files on the calling thread.
    func deleteAll() {
        for file in recycled.removeAll() { delete(file) }
    }

    private func delete(_ file: RecycledFiles.File) {
        unlinkat(folder, file.name, 0)
        Glibc.close(file.descriptor)
    }
}
