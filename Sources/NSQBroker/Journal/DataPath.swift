import BrokerCore
import Logging
import NSQWire
import UVLoop

/// Where a broker keeps what is to outlive it, and how well.
package struct DataPathOptions: Sendable {
    /// A folder that is there.
    package var path: String
    package var journal = Journal.Options()
    /// How long what was written may stay unsynced.
    package var syncTimeout = Duration.seconds(2)

    package init(path: String) { self.path = path }
}

/// A broker's journal on the disk of its loop: what was noted is read before anyone is listened to,
/// and synced by and by.
final class DataPath {
    let journal: Journal
    private let disk: FolderDisk
    private let timer: Timer
    private let spareTimer: Timer
    private let interval: Duration
    private let path: String
    private let logger: Logger

    /// - Throws: if the folder is not there, or another broker has it.
    init(_ options: DataPathOptions, on loop: Loop, logger: Logger) throws(LedgerError) {
        disk = try FolderDisk(options.path, on: loop)
        journal = Journal(on: disk, options.journal)
        timer = Timer(on: loop)
        spareTimer = Timer(on: loop)
        interval = options.syncTimeout
        path = options.path
        self.logger = logger
    }

    /// Has the broker be what it was, and begins to sync.
    func recover(into broker: Broker, at now: Moment) throws(LedgerError) {
        let report = try journal.recover(into: broker, at: now)
        for damage in report.damages { logger.error("DATA-PATH: \(damage)") }
        if report.tornBytes > 0 {
            logger.warning(
                "DATA-PATH: cut \(report.tornBytes) bytes that were not wholly written")
        }
        if report.files > 0 {
            let found = "\(report.messages) messages in \(report.files) files"
            logger.info("DATA-PATH: read \(found); \(broker.backlog) are not finished")
        }
        if report.files == 0, try Files.names(in: path).contains(NSQDDataPath.metadataName) {
            logger.warning(
                "DATA-PATH: what nsqd has left in \(path) is read by tally doctor --import only")
        }
        journal.onHealth = { [logger] failure in
            if let failure {
                logger.error("DATA-PATH: \(failure)")
            } else {
                logger.info("DATA-PATH: is written to again")
            }
        }
        scheduleSync()
        scheduleGivingBack()
    }

    /// How long a file is kept that no other is made of.
    private static let spareTime = Duration.seconds(60)

    private func scheduleGivingBack() {
        spareTimer.start(after: Self.spareTime) { [weak self] in
            self?.disk.giveBackIdleSpares()
            self?.scheduleGivingBack()
        }
    }

    private func scheduleSync() {
        timer.start(after: interval) { [weak self] in
            self?.journal.tryAgain()
            self?.journal.sync()
            self?.scheduleSync()
        }
    }

    /// Syncs what is left, and calls `done`.
    func close(_ done: @escaping () -> Void) {
        timer.close()
        spareTimer.close()
        guard journal.isDirty else { return done() }
        let whenSynced = journal.onSync
        journal.onSync = { [journal] write, error in
            whenSynced(write, error)
            // A sync under way may not have had all.
            guard error != nil || !journal.isDirty else { return }
            // What it holds on to would keep the folder locked.
            journal.onSync = whenSynced
            done()
        }
        journal.sync()
    }
}
