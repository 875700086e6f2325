import Foundation
import GRDB

extension PlayStore {
    /// Reads the totals of a store without locking or changing it, even while a processor has it
    /// open. The result never contains a part of a commit.
    package static func readCounts(at path: String) throws(StoreError) -> [StoredCount] {
        guard FileManager.default.fileExists(atPath: path) else {
            throw StoreError(.missing, path: path)
        }
        do throws(StoreError) {
            return try readCounts(at: path, opening: path)
        } catch {
            // SQLite creates a file beside a WAL database even for reading, which fails if the
            // folder is read-only. If no process has the store open, the database file alone is
            // complete, so it can be opened as immutable, without the additional file.
            guard [.readOnly, .cannotOpen].contains(error.kind), !hasWriter(path) else {
                throw error
            }
            let counts = try readCounts(
                at: path, opening: URL(filePath: path).absoluteString + "?immutable=1")
            guard !hasWriter(path) else { throw error }
            return counts
        }
    }

    /// Reads the totals of a database.
    ///
    /// - Parameter name: the path, or a `file:` URI with SQLite's query parameters.
    private static func readCounts(
        at path: String, opening name: String
    ) throws(StoreError) -> [StoredCount] {
        do {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(2)
            let queue = try DatabaseQueue(path: name, configuration: configuration)
            defer { try? queue.close() }
            return try queue.inDatabase { database in
                let mark = try Int.fetchOne(database, sql: "PRAGMA application_id")
                guard mark == applicationID else { throw StoreError(.notAStore, path: path) }
                try checkApplicationID(database, path: path)
                return try counts(in: database, path: path)
            }
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// Returns `true` if the write-ahead log exists, which means that a process has the store open.
    private static func hasWriter(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: path + "-wal")
    }

    static func counts(in database: Database, path: String) throws -> [StoredCount] {
        let rows = try Row.fetchCursor(
            database, sql: try database.tableExists("clients") ? publishedToAll : publishedToOne)
        var counts: [StoredCount] = []
        while let row = try rows.next() {
            let videoID = try VideoRows.videoID(row, path: path)
            counts.append(StoredCount(of: videoID, row[1], published: row[2]))
        }
        return counts
    }

    private static let publishedToAll = """
        SELECT video_id, play_count, coalesce((
            SELECT min(coalesce(published.play_count, 0)) FROM clients
            LEFT JOIN published ON published.client = clients.client
                AND published.number = counts.number
            WHERE clients.is_served), 0)
        FROM counts
        """

    /// The query for a store of version 2, which no processor has migrated yet.
    private static let publishedToOne = "SELECT video_id, play_count, published_count FROM counts"

    /// Converts rows of a video ID and a total.
    static func totals(_ rows: RowCursor, path: String) throws -> [PlayCount] {
        var totals: [PlayCount] = []
        while let row = try rows.next() {
            totals.append(PlayCount(of: try VideoRows.videoID(row, path: path), row[1]))
        }
        return totals
    }
}
