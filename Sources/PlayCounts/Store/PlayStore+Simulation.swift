import GRDB

/// The states that tests need and that cannot be reached quickly otherwise.
extension PlayStore {
    /// A reader of a store whose transaction does not end before ``close()``.
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

    /// Puts the store into the state in which it is after another processor has opened it. It is for tests.
    package func simulateTakeover() throws(StoreError) {
        try inDatabase { try $0.execute(sql: "UPDATE owner SET epoch = epoch + 1") }
    }

    /// Puts the store into the state that a process leaves if it is killed within ``init(_:)``. It is
    /// for tests.
    package func simulateInterruptedOpening() throws(StoreError) {
        try inDatabase { try $0.execute(sql: "CREATE TABLE stretch (bytes BLOB)") }
    }

    /// Limits the size of the database, as a full disk does. It is for tests.
    package func limitPages(to pages: Int) throws(StoreError) {
        try inDatabase { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
    }
}
