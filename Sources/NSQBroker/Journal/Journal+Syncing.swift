import BrokerCore
import DequeModule

/// How what was written comes to the disk for good.
extension Journal {
    /// Something was written that is not synced.
    package var isDirty: Bool { files.contains(where: \.isDirty) }

    /// Brings what was written to the disk for good; one sync at a time, the next for all that
    /// came meanwhile.
    package func sync() {
        guard isDirty else { return }
        guard !isSyncing else {
            needsSync = true
            return
        }
        isSyncing = true
        messagesSinceSync = 0
        let numbers = files.filter(\.isDirty).map(\.number)
        for place in files.indices { files[place].isDirty = false }
        let write = lastWrite
        // What was moved out of the others while the sync is under way is not synced by it.
        let unneeded = unneededCount
        disk.sync(numbers) { [weak self] error in
            self?.synced(numbers, upTo: write, unneeded, error)
        }
    }

    private func synced(
        _ numbers: [UInt32], upTo write: UInt64, _ unneeded: Int, _ error: LedgerError?
    ) {
        isSyncing = false
        didSyncFail = error != nil
        if let error {
            syncFailed(numbers, error)
        } else {
            onSync(write, nil)
            removeOldest(unneeded)
        }
        guard needsSync else { return }
        needsSync = false
        sync()
    }

    /// What the system could not bring to the disk may be gone from its memory, too: nothing more
    /// is written to that file, and what was written to it meanwhile is as lost, though another
    /// sync would not say so.
    private func syncFailed(_ numbers: [UInt32], _ error: LedgerError) {
        failure = error
        for place in files.indices where numbers.contains(files[place].number) {
            files[place].isDoubtful = true
        }
        beginFileNext()
        onSync(lastWrite, error)
    }
}
