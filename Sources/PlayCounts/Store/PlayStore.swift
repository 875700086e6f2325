import Foundation
import GRDB

/// The SQLite database with the counts of all videos, the counts that each client accepted, and the
/// fingerprints of counted plays.
///
/// All queries run on GRDB's serial queue. Commits are asynchronous, and their completions run on
/// that queue. Only one processor at a time can open a store.
package final class PlayStore: Sendable {
    /// The place of a store.
    package enum Location: Sendable {
        case file(String)
        /// A file that is deleted when the store is closed, for benchmarks that need the cost of a
        /// real one.
        case temporary(in: URL = FileManager.default.temporaryDirectory)
        /// A database in memory, which is not durable, for tests.
        case memory
    }

    /// A video's total in the store.
    package struct StoredCount: Hashable, Sendable {
        package let videoID: VideoID
        /// The total number of plays.
        package let count: Int
        /// The lowest total that every registered client has accepted.
        package let published: Int

        package init(of videoID: VideoID, _ count: Int, published: Int) {
            self.videoID = videoID
            self.count = count
            self.published = published
        }
    }

    /// The path of the database; `:memory:` for a database in memory.
    package let path: String
    private let queue: DatabaseQueue
    /// The number of times that a processor has opened the store. It changes when another one does.
    private let epoch: Int
    /// A random number that identifies the store.
    package let storeID: String
    /// `true` if this object has created the store.
    package let isNew: Bool
    /// A warning for users if the store has less history than it had before; see `StoreHistory`.
    package let lostHistory: String?
    // SAFETY: `init` sets the two, and later only jobs of `queue` use them, which run one at a time.
    /// The number of counted plays; see `StoreHistory`.
    nonisolated(unsafe) private var plays: Int
    /// The time at which the history was last written.
    nonisolated(unsafe) private var notedAt = ContinuousClock.now
    private let lock: StoreLock?
    /// The files at the store's path; `nil` in memory.
    private let files: StoreFiles?
    private let temporaryFolder: URL?
    // SAFETY: `init` uses it before the first job, and later only jobs of `queue` use it, which run
    // one at a time.
    nonisolated(unsafe) private var rows: VideoRows

    /// Opens a store, or creates it if it does not exist.
    package init(_ location: Location) throws(StoreError) {
        switch location {
        case .file(let file):
            path = file
            temporaryFolder = nil
        case .temporary(let parent):
            let folder = parent.appending(component: "tally-\(UUID().uuidString)")
            path = folder.appending(component: "counts.sqlite").path
            temporaryFolder = folder
        case .memory:
            path = ":memory:"
            temporaryFolder = nil
        }
        do {
            if let temporaryFolder {
                try FileManager.default.createDirectory(
                    at: temporaryFolder, withIntermediateDirectories: true)
            }
            let lock = path == ":memory:" ? nil : try StoreLock(for: path)
            let queue = try PlayStore.open(path)
            rows = try queue.inDatabase { [path] in try VideoRows(in: $0, path: path) }
            (epoch, storeID) = try queue.inDatabase(PlayStore.takeOwnership)
            isNew = epoch == 1 && rows.isEmpty
            files = lock == nil ? nil : StoreFiles(of: path)
            plays = try queue.inDatabase(PlayStore.sumOfCounts)
            let history = StoreHistory(storeID: storeID, epoch: epoch, plays: plays)
            if lock == nil || temporaryFolder != nil {
                lostHistory = nil
            } else {
                lostHistory = StoreHistory(besides: path)?.loss(in: history, at: path)
                history.write(besides: path)
            }
            self.lock = lock
            self.queue = queue
        } catch {
            throw StoreError(error, path: path)
        }
    }

    deinit {
        // Deletes the file of a store that was not closed, because of an error elsewhere.
        if let temporaryFolder { try? FileManager.default.removeItem(at: temporaryFolder) }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        let isFile = path != ":memory:"
        var configuration = Configuration()
        configuration.label = "tally.store"
        // Waits while a user of the `sqlite3` shell has a lock. A second processor fails at
        // `StoreLock`.
        configuration.busyMode = .timeout(2)
        // GRDB's `journalMode` would switch the file to WAL mode before the application ID is
        // checked.
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.inDatabase { database in
            try checkApplicationID(database, path: path)
            guard isFile else { return }
            _ = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
        }
        try migrator.migrate(queue)
        try queue.inDatabase { database in
            guard isFile else { return }
            try preallocateLog(database)
            try makeDurable(database, path: path)
            // A checkpoint truncates a log that a long reader has let grow.
            try database.execute(sql: "PRAGMA journal_size_limit = \(maxLogBytes)")
        }
        return queue
    }

    /// Reads all totals.
    package func loadTotals() throws(StoreError) -> [PlayCount] {
        try inDatabase { [path] in
            try PlayStore.totals(
                Row.fetchCursor($0, sql: "SELECT video_id, play_count FROM counts"), path: path)
        }
    }

    /// Reads all totals with their published counts.
    package func loadCounts() throws(StoreError) -> [StoredCount] {
        try inDatabase { [path] in try PlayStore.counts(in: $0, path: path) }
    }

    func inDatabase<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do {
            return try queue.inDatabase(body)
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// Starts a transaction and returns at once. Transactions run in the order of these calls.
    ///
    /// - Parameters:
    ///   - changes: the totals that a batch changed.
    ///   - counted: the fingerprints of the batch's plays.
    ///   - published: the totals that each client accepted since the last commit.
    ///   - completion: called on the store's queue.
    package func commit(
        _ changes: [CountChange], counted: DeduplicationWindow.Addition? = nil,
        published: [ClientNumber: [PlayCount]] = [:],
        completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        queue.asyncWriteWithoutTransaction { [self] database in
            do {
                try files?.check()
                try database.inTransaction(.immediate) {
                    try checkOwnership(database)
                    try write(changes, published, to: database)
                    if let counted { try write(counted, to: database) }
                    return .commit
                }
                plays += counted?.fingerprints.count ?? 0
                noteHistory()
                completion(.success(()))
            } catch {
                completion(.failure(StoreError(error, path: path)))
            }
        }
    }

    /// Writes the note of the history if the last one is older than ten seconds.
    private func noteHistory() {
        let now = ContinuousClock.now
        guard lock != nil, temporaryFolder == nil, now - notedAt > .seconds(10) else { return }
        notedAt = now
        StoreHistory(storeID: storeID, epoch: epoch, plays: plays).write(besides: path)
    }

    private static func sumOfCounts(_ database: Database) throws -> Int {
        try Int.fetchOne(database, sql: "SELECT sum(play_count) FROM counts") ?? 0
    }

    /// Takes over the store from the processor that opened it before.
    private static func takeOwnership(_ database: Database) throws -> (epoch: Int, id: String) {
        var owner: (Int, String)?
        try database.inTransaction(.immediate) {
            try database.execute(sql: "UPDATE owner SET epoch = epoch + 1")
            let row = try Row.fetchOne(database, sql: "SELECT epoch, store_id FROM owner")
            owner = row.map { ($0[0], $0[1]) }
            return .commit
        }
        guard let owner else { throw DatabaseError(message: "missing owner") }
        return owner
    }

    /// - Throws: `StoreError` of kind `takenOver` if another processor has opened the store.
    private func checkOwnership(_ database: Database) throws {
        let select = try database.cachedStatement(sql: "SELECT epoch FROM owner")
        guard try Int.fetchOne(select) == epoch else { throw StoreError(.takenOver, path: path) }
    }

    private func write(
        _ changes: [CountChange], _ published: [ClientNumber: [PlayCount]],
        to database: Database
    ) throws {
        let setCount = try database.cachedStatement(
            sql: """
                INSERT INTO counts (number, video_id, play_count) VALUES (?, ?, ?)
                ON CONFLICT (number) DO UPDATE SET play_count = excluded.play_count
                """)
        for change in changes {
            let videoID = change.videoID
            try setCount.execute(arguments: [rows[videoID], videoID.text, change.count])
        }
        let setPublished = try database.cachedStatement(
            sql: """
                INSERT INTO published (client, number, play_count) VALUES (?, ?, ?)
                ON CONFLICT (client, number) DO UPDATE SET play_count = excluded.play_count
                """)
        for (client, totals) in published {
            for total in totals {
                try setPublished.execute(arguments: [client, rows[total.videoID], total.count])
            }
        }
    }

    /// The size of the write-ahead log after a checkpoint, in bytes; twice its usual size.
    private static let maxLogBytes = 8 << 20

    /// Waits for the started commits and closes the file. It must be called once. The store is
    /// unusable after it.
    package func close() throws(StoreError) {
        do {
            if lock != nil, temporaryFolder == nil,
                let plays = try? queue.inDatabase(PlayStore.sumOfCounts)
            {
                StoreHistory(storeID: storeID, epoch: epoch, plays: plays).write(besides: path)
            }
            try queue.close()
            lock?.release()
            if let temporaryFolder { try FileManager.default.removeItem(at: temporaryFolder) }
        } catch {
            throw StoreError(error, path: path)
        }
    }
}
