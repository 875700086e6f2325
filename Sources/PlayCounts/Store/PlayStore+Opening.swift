import GRDB

extension PlayStore {
    static func open(_ path: String) throws -> DatabaseQueue {
        let isFile = path != ":memory:"
        var configuration = Configuration()
        configuration.label = "tally.store"
        // Waits up to two seconds if another program, such as the `sqlite3` shell, has locked the
        // database. A second processor does not get this far, because `StoreLock` refuses it.
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
            // The log grows beyond this size while a long read prevents checkpoints. The next
            // checkpoint then truncates it.
            try database.execute(sql: "PRAGMA journal_size_limit = \(maxLogBytes)")
        }
        return queue
    }

    static func sumOfCounts(_ database: Database) throws -> Int {
        try Int.fetchOne(database, sql: "SELECT sum(play_count) FROM counts") ?? 0
    }

    /// Increments the epoch, so that commits of a processor that opened the store earlier fail.
    static func takeOwnership(_ database: Database) throws -> (epoch: Int, id: String) {
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

    /// The maximum size of the write-ahead log after a checkpoint, in bytes: twice its usual size.
    private static let maxLogBytes = 8 << 20
}
