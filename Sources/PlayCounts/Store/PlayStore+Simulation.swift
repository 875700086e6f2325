import GRDB

/// Methods for tests, which put a store into states that are hard to reach otherwise.
extension PlayStore {
    /// A reader of a store with a read transaction that stays open until ``close()``.
    package struct Reader {
        private let queue: DatabaseQueue

        package init(_ path: String) throws {
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.inDatabase { database in
                try database.beginTransaction(.deferred)
                _ = try Int.fetchOne(database, sql: "SELECT count(*) FROM counts")
            }
        }

        package func close() throws {
            try queue.inDatabase { try $0.commit() }
            try queue.close()
        }
    }

    /// Changes the store as if another processor had opened it. For tests.
    package func simulateTakeover() throws(StoreError) {
        try inDatabase { try $0.execute(sql: "UPDATE owner SET epoch = epoch + 1") }
    }

    /// Changes the store as if a process had been killed within ``init(_:)``. For tests.
    package func simulateInterruptedOpening() throws(StoreError) {
        try inDatabase { try $0.execute(sql: "CREATE TABLE stretch (bytes BLOB)") }
    }

    /// Limits the number of pages of the database, so that commits fail as on a full disk. For
    /// tests.
    package func limitPages(to pages: Int) throws(StoreError) {
        try inDatabase { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
    }
}
