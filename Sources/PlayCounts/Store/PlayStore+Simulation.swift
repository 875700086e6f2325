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

    /// Changes the store as another processor does that opens it. For tests.
    package func simulateTakeover() throws(StoreError) {
        try inDatabase { try $0.execute(sql: "UPDATE owner SET epoch = epoch + 1") }
    }

    /// Changes the store as a process does that is killed within ``init(_:)``. For tests.
    package func simulateInterruptedOpening() throws(StoreError) {
        try inDatabase { try $0.execute(sql: "CREATE TABLE stretch (bytes BLOB)") }
    }

    /// Limits the size of the database, as a full disk does. For tests.
    package func limitPages(to pages: Int) throws(StoreError) {
        try inDatabase { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
    }
}
