import Foundation
import GRDB
import UVLoop

/// The SQLite database with the counts of all videos, the counts that each client accepted, and the
/// fingerprints of counted plays.
///
/// All queries run on GRDB's serial queue. Commits are asynchronous, and their completions run on
/// that queue. Only one processor at a time can open a store.
package final class PlayStore: Sendable {
    /// The location of a store.
    package enum Location: Sendable {
        case file(String)
        /// A file that is deleted when the store is closed, for benchmarks that have to include the
        /// cost of a real file.
        case temporary(in: URL = FileManager.default.temporaryDirectory)
        /// A database in memory, for tests. It is lost when the store is closed.
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
    /// The number of times that a processor had opened the store when this object did. The number
    /// in the database increases when another processor opens the store.
    private let epoch: Int
    /// A random number that identifies the store.
    package let storeID: String
    /// `true` if this object has created the store.
    package let isNew: Bool
    /// A warning for users if the store contains fewer plays than at its last use; see
    /// ``StoreHistoryFile``.
    package let lostHistory: String?
    /// The history file that was beside the store before this object opened it.
    private let previousHistory: StoreHistoryFile?
    // SAFETY: `init` sets the two, and later only jobs of `queue` use them, which run one at a time.
    /// The number of counted plays, for ``StoreHistoryFile``.
    nonisolated(unsafe) private var plays: Int
    private let playsAtOpening: Int
    /// The time at which the history file was last written.
    nonisolated(unsafe) private var historyWrittenAt = ContinuousClock.now
    private let lock: StoreLock?
    /// The files at the store's path; `nil` in memory.
    private let files: StoreFiles?
    private let temporaryFolder: URL?
    private let isClosed = LockedValue(false)
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
        var created: StoreLock?
        do {
            if let temporaryFolder {
                try FileManager.default.createDirectory(
                    at: temporaryFolder, withIntermediateDirectories: true)
            }
            let lock = path == ":memory:" ? nil : try StoreLock(for: path)
            created = lock?.hasCreatedFile == true ? lock : nil
            let queue = try PlayStore.open(path)
            rows = try queue.inDatabase { [path] in try VideoRows(in: $0, path: path) }
            (epoch, storeID) = try queue.inDatabase(PlayStore.takeOwnership)
            isNew = epoch == 1 && rows.isEmpty
            files = lock == nil ? nil : StoreFiles(of: path)
            plays = try queue.inDatabase(PlayStore.sumOfCounts)
            playsAtOpening = plays
            let history = StoreHistoryFile(storeID: storeID, epoch: epoch, plays: plays)
            if lock == nil || temporaryFolder != nil {
                previousHistory = nil
                lostHistory = nil
            } else {
                previousHistory = StoreHistoryFile(beside: path)
                lostHistory = previousHistory?.loss(in: history, at: path)
                history.write(beside: path)
            }
            self.lock = lock
            self.queue = queue
        } catch {
            if created != nil { StoreFiles.remove(path) }
            throw StoreError(error, path: path)
        }
    }

    deinit {
        // Deletes the temporary file if the store was not closed, for example after an error.
        if let temporaryFolder { try? FileManager.default.removeItem(at: temporaryFolder) }
    }

    /// Reads all totals.
    package func loadTotals() throws(StoreError) -> [PlayCount] {
        try inDatabase { [path] in
            try PlayStore.totals(
                Row.fetchCursor($0, sql: "SELECT video_id, play_count FROM counts"), path: path)
        }
    }

    /// Reads the totals of all videos, with the totals that all clients have accepted.
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

    /// Starts a transaction, and returns without waiting for it. Transactions run in the order of
    /// the calls.
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
                writeHistoryFile()
                completion(.success(()))
            } catch {
                completion(.failure(StoreError(error, path: path)))
            }
        }
    }

    /// Writes the history file beside the store if it was last written more than ten seconds ago.
    private func writeHistoryFile() {
        let now = ContinuousClock.now
        guard lock != nil, temporaryFolder == nil, now - historyWrittenAt > .seconds(10) else {
            return
        }
        historyWrittenAt = now
        StoreHistoryFile(storeID: storeID, epoch: epoch, plays: plays).write(beside: path)
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

    /// Closes the store if a command could not start, and removes the files that this object has
    /// created. Does nothing after ``close()``.
    ///
    /// The files are kept if plays were counted since the opening, or if another processor owns the
    /// store now.
    package func abandon() throws(StoreError) {
        guard !isClosed.withLock({ $0 }) else { return }
        guard let lock, temporaryFolder == nil, try isUntouched() else { return try close() }
        isClosed.withLock { $0 = true }
        do {
            try queue.close()
            if isNew, lock.hasCreatedFile { StoreFiles.remove(path) }
            if let previousHistory {
                previousHistory.write(beside: path)
            } else {
                StoreHistoryFile.remove(beside: path)
            }
            lock.release()
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// Returns whether this object owns the store at its path, and has counted nothing.
    private func isUntouched() throws(StoreError) -> Bool {
        do {
            return try queue.inDatabase { database in
                try files?.check()
                try checkOwnership(database)
                return plays == playsAtOpening
            }
        } catch let error as StoreError where [.replaced, .takenOver].contains(error.kind) {
            return false
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// Waits for the started commits, and closes the file. The store cannot be used afterwards.
    /// Further calls do nothing.
    package func close() throws(StoreError) {
        let isFirst = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        do {
            if lock != nil, temporaryFolder == nil,
                let plays = try? queue.inDatabase(PlayStore.sumOfCounts)
            {
                StoreHistoryFile(storeID: storeID, epoch: epoch, plays: plays).write(beside: path)
            }
            try queue.close()
            lock?.release()
            if let temporaryFolder { try FileManager.default.removeItem(at: temporaryFolder) }
        } catch {
            throw StoreError(error, path: path)
        }
    }
}
