import Foundation
import GRDB

/// Keeps the counts, what each client has taken of them, and which plays they count, in SQLite.
///
/// All work is done on one serial queue of its own, GRDB's; whoever gives it work goes on at
/// once and is called back there. One processor at a time may hold a store.
package final class PlayStore: Sendable {
    package enum Location: Sendable {
        case file(String)
        /// A file that is gone when the store is closed: every cost of a real one.
        case temporary(in: URL = FileManager.default.temporaryDirectory)
        /// No file at all, and no durability: for tests.
        case memory
    }

    package struct StoredCount: Hashable, Sendable {
        package let videoID: VideoID
        package let count: Int
        /// What every client that is served has been told.
        package let published: Int

        package init(of videoID: VideoID, _ count: Int, published: Int) {
            self.videoID = videoID
            self.count = count
            self.published = published
        }
    }

    package let path: String
    private let queue: DatabaseQueue
    private let lock: StoreLock?
    private let temporaryFolder: URL?
    // SAFETY: touched on `queue` only, which runs one piece of work at a time, and here before
    // there is any.
    nonisolated(unsafe) private var rows: VideoRows

    /// Opens the store, and makes it if it is not there.
    package init(_ location: Location) throws(StoreError) {
        switch location {
        case .file(let file):
            path = file
            temporaryFolder = nil
        case .temporary(let place):
            let folder = place.appending(component: "tally-\(UUID().uuidString)")
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
            lock = path == ":memory:" ? nil : try StoreLock(for: path)
            let queue = try PlayStore.open(path)
            rows = try queue.inDatabase { [path] in try VideoRows(in: $0, path: path) }
            self.queue = queue
        } catch {
            throw StoreError(error, path: path)
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        let isFile = path != ":memory:"
        var configuration = Configuration()
        configuration.label = "tally.store"
        // For someone with a shell of SQLite on the file; another processor fails at the lock.
        configuration.busyMode = .timeout(2)
        // Not GRDB's `journalMode`, which turns a file into a WAL database before we can see
        // whose it is.
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.inDatabase { database in
            try checkThatItIsOurs(database, path: path)
            guard isFile else { return }
            _ = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
        }
        try migrator.migrate(queue)
        try queue.inDatabase { database in
            guard isFile else { return }
            try stretchLog(database)
            try makeDurable(database, path: path)
        }
        return queue
    }

    /// All counts, for the start.
    package func totals() throws(StoreError) -> [PlayCount] {
        try inDatabase { [path] in
            try PlayStore.totals(
                Row.fetchCursor($0, sql: "SELECT video_id, play_count FROM counts"), path: path)
        }
    }

    /// All counts, and what was published of them.
    package func load() throws(StoreError) -> [StoredCount] {
        try inDatabase { [path] in try PlayStore.counts(in: $0, path: path) }
    }

    static func counts(in database: Database, path: String) throws -> [StoredCount] {
        let rows = try Row.fetchCursor(
            database, sql: try database.tableExists("clients") ? publishedByAll : publishedByOne)
        var counts: [StoredCount] = []
        while let row = try rows.next() {
            let videoID = try VideoRows.videoID(row, path: path)
            counts.append(StoredCount(of: videoID, row[1], published: row[2]))
        }
        return counts
    }

    private static let publishedByAll = """
        SELECT video_id, play_count, coalesce((
            SELECT min(coalesce(published.play_count, 0)) FROM clients
            LEFT JOIN published ON published.client = clients.client
                AND published.number = counts.number
            WHERE clients.is_served), 0)
        FROM counts
        """

    /// Of a store that is looked at before a processor has brought it up to date.
    private static let publishedByOne = "SELECT video_id, play_count, published_count FROM counts"

    func inDatabase<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do {
            return try queue.inDatabase(body)
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// Commits what a batch changed, which plays it counted, and what clients took since the last
    /// commit, in one transaction, and returns at once. `completion` is called on the store's
    /// queue.
    ///
    /// Commits are done in the order they were asked for. Give the next when the last has come
    /// back: the plays that came in meanwhile then share one.
    package func commit(
        _ changes: [CountChange], counted: CountedPlays.Addition? = nil,
        published: [ClientNumber: [PlayCount]] = [:],
        completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        queue.asyncWriteWithoutTransaction { [self] database in
            do {
                try database.inTransaction(.immediate) {
                    try write(changes, published, to: database)
                    if let counted { try write(counted, to: database) }
                    return .commit
                }
                completion(.success(()))
            } catch {
                completion(.failure(StoreError(error, path: path)))
            }
        }
    }

    private func write(
        _ changes: [CountChange], _ published: [ClientNumber: [PlayCount]],
        to database: Database
    ) throws {
        let count = try database.cachedStatement(
            sql: """
                INSERT INTO counts (number, video_id, play_count) VALUES (?, ?, ?)
                ON CONFLICT (number) DO UPDATE SET play_count = excluded.play_count
                """)
        for change in changes {
            let videoID = change.videoID
            try count.execute(arguments: [rows[videoID], videoID.text, change.count])
        }
        let mark = try database.cachedStatement(
            sql: """
                INSERT INTO published (client, number, play_count) VALUES (?, ?, ?)
                ON CONFLICT (client, number) DO UPDATE SET play_count = excluded.play_count
                """)
        for (client, totals) in published {
            for total in totals {
                try mark.execute(arguments: [client, rows[total.videoID], total.count])
            }
        }
    }

    /// Waits for the commits already asked for, and lets go of the file. To be called once, last.
    package func close() throws(StoreError) {
        do {
            try queue.close()
            lock?.release()
            if let temporaryFolder { try FileManager.default.removeItem(at: temporaryFolder) }
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// One that was never closed, as something else failed, leaves no more behind.
    deinit {
        if let temporaryFolder { try? FileManager.default.removeItem(at: temporaryFolder) }
    }

    /// For a test of what a start finds after one that was cut short.
    package func leaveAsIfKilledAtOpening() throws {
        try queue.inDatabase { try $0.execute(sql: "CREATE TABLE stretch (bytes BLOB)") }
    }

    /// For a test that fills the disk up.
    package func limitPages(to pages: Int) throws {
        try queue.inDatabase { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
    }
}
