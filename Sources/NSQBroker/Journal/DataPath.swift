import BrokerCore
import Glibc
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// The folder in which a broker stores its messages, and the settings of this storage.
package struct DataPathOptions: Sendable {
    /// The path of a folder, which is created if its parent exists.
    package var path: String
    /// The settings of the journal.
    package var journal = Journal.Options()
    /// The maximum time from the write of a record to its sync.
    package var syncTimeout = Duration.seconds(2)

    /// Creates options with the default settings of the journal.
    package init(path: String) { self.path = path }
}

/// A broker's journal in a folder, with the timers that sync the journal and free recycled files.
final class DataPath {
    let journal: Journal
    private let disk: FolderDisk
    private let timer: Timer
    private let recycleTimer: Timer
    private let interval: Duration
    private let path: String
    private let logger: Logger

    /// Opens and locks the folder, and creates it if it does not exist. If the folder contains the
    /// data of a real nsqd, the data is moved into a journal first.
    ///
    /// - Throws: an error if the folder cannot be created or opened, or another broker has locked
    ///   it.
    init(_ options: DataPathOptions, on loop: Loop, logger: Logger) throws(MessageLogError) {
        let isNew = try Self.createFolder(options.path, logger)
        do throws(MessageLogError) {
            try NSQDTakeover(of: options.path, options.journal, on: loop, logger: logger).run()
            disk = try FolderDisk(options.path, on: loop)
        } catch {
            if isNew { rmdir(options.path) }
            throw error
        }
        journal = Journal(on: disk, options.journal)
        timer = Timer(on: loop)
        recycleTimer = Timer(on: loop)
        interval = options.syncTimeout
        path = options.path
        self.logger = logger
    }

    /// Creates the folder if only the last part of its path is missing. A missing parent is an error:
    /// it may be a disk that is not mounted.
    ///
    /// - Returns: `true` if the folder was created.
    private static func createFolder(
        _ path: String, _ logger: Logger
    ) throws(MessageLogError) -> Bool {
        guard mkdir(path, 0o700) == 0 else {
            let failure = FileCalls.failure("cannot create data-path", path)
            // The caller reports a missing parent, or a file in place of the folder, when it opens
            // the folder.
            let isReportedLater = [EEXIST, ENOENT, ENOTDIR].contains(errno)
            guard isReportedLater || access(path, F_OK) == 0 else { throw failure }
            return false
        }
        logger.info("DATA-PATH: created \(path)")
        // Without a sync of the parent, a power failure could remove the folder with all its
        // messages.
        let parent = Glibc.open("\(path)/..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { return true }
        defer { Glibc.close(parent) }
        try FileCalls.sync(parent, path)
        return true
    }

    /// Replays the journal into `broker`, and starts the timers.
    func recover(into broker: Broker, at now: Timestamp) throws(MessageLogError) {
        let report = try journal.recover(into: broker, at: now)
        for damage in report.damages { logger.error("DATA-PATH: \(damage)") }
        if report.damageCount > report.damages.count {
            let more = report.damageCount - report.damages.count
            logger.error("DATA-PATH: and \(counted(more, "more damaged range"))")
        }
        if report.tornBytes > 0 {
            logger.warning(
                "DATA-PATH: removed a torn tail of \(report.tornBytes) bytes")
        }
        if report.files > 0 {
            let (messages, files) = (report.messages, report.files)
            logger.info(
                "DATA-PATH: read \(counted(messages, "message")) in \(counted(files, "file")); \(broker.unfinishedCount) unfinished"
            )
        }
        journal.onHealth = { [logger] failure in
            if let failure {
                logger.error("DATA-PATH: \(failure)")
            } else {
                logger.info("DATA-PATH: the journal is writable again")
            }
        }
        scheduleSync()
        scheduleRecycling()
    }

    /// The time after which an unused recycled file is freed.
    private static let maxIdleTime = Duration.seconds(60)

    private func scheduleRecycling() {
        recycleTimer.start(after: Self.maxIdleTime) { [weak self] in
            self?.disk.removeIdleRecycledFiles()
            self?.scheduleRecycling()
        }
    }

    private func scheduleSync() {
        timer.start(after: interval) { [weak self] in
            self?.journal.retryAfterFailure()
            self?.journal.sync()
            self?.scheduleSync()
        }
    }

    /// Stops the timers, syncs all written records, and calls `done`.
    func close(_ done: @escaping () -> Void) {
        timer.close()
        recycleTimer.close()
        guard journal.isDirty else { return done() }
        let onSync = journal.onSync
        journal.onSync = { [journal] write, error in
            onSync(write, error)
            // The running sync may not cover the records that were written after its start.
            guard error != nil || !journal.isDirty else { return }
            // The `onSync` closure retains the journal. Unless the closure is replaced, the folder
            // stays locked.
            journal.onSync = onSync
            done()
        }
        journal.sync()
    }
}
