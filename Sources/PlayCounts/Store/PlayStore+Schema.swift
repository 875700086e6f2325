import GRDB

extension PlayStore {
    /// SQLite's application ID in the header of each store: "TALY" in ASCII.
    static let applicationID = 0x5441_4C59

    /// All versions of the schema. To change the schema, add a migration; never edit an old one.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: counts") { database in
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            // The ID is stored as text, so that `select * from counts` shows it in the same form as
            // the calls. This takes 20 more bytes per row. The column has no index: GUIDs are
            // random, so a batch of 2,500 new videos would write 2,500 pages of the index (68 ms
            // with a million videos). `VideoRows` finds the row of a video instead, and ensures
            // that each video has only one row.
            try database.execute(
                sql: """
                    CREATE TABLE counts (
                        number INTEGER NOT NULL PRIMARY KEY,
                        video_id TEXT NOT NULL,
                        play_count INTEGER NOT NULL CHECK (play_count > 0),
                        published_count INTEGER NOT NULL DEFAULT 0
                            CHECK (published_count BETWEEN 0 AND play_count)
                    ) STRICT
                    """)
        }
        migrator.registerMigration("2: counted plays") { database in
            // Each row has the fingerprints of one batch. A row for each play would double the
            // duration of a commit. `DeduplicationWindow` explains generations.
            try database.execute(
                sql: """
                    CREATE TABLE counted (
                        number INTEGER NOT NULL PRIMARY KEY,
                        generation INTEGER NOT NULL,
                        fingerprints BLOB NOT NULL
                    ) STRICT
                    """)
            try database.execute(
                sql: "CREATE TABLE fingerprint_key (key BLOB NOT NULL) STRICT")
            try database.execute(sql: "INSERT INTO fingerprint_key VALUES (randomblob(16))")
        }
        migrator.registerMigration("3: clients") { database in
            try database.execute(
                sql: """
                    CREATE TABLE clients (
                        client INTEGER NOT NULL PRIMARY KEY,
                        name TEXT NOT NULL UNIQUE,
                        is_served INTEGER NOT NULL
                    ) STRICT
                    """)
            // The totals that each client has accepted. With them, a client that was unreachable
            // later receives exactly the totals that it missed. The rows of one client are
            // adjacent, in the order of `counts`.
            try database.execute(
                sql: """
                    CREATE TABLE published (
                        client INTEGER NOT NULL,
                        number INTEGER NOT NULL,
                        play_count INTEGER NOT NULL,
                        PRIMARY KEY (client, number)
                    ) STRICT, WITHOUT ROWID
                    """)
            // Version 2 had a single client, standard output, and did not store its name.
            try database.execute(
                sql: """
                    INSERT INTO clients SELECT 1, 'stdout', 1 WHERE EXISTS (SELECT 1 FROM counts)
                    """)
            try database.execute(
                sql: """
                    INSERT INTO published
                    SELECT 1, number, published_count FROM counts WHERE published_count > 0
                    """)
            try database.execute(sql: "ALTER TABLE counts DROP COLUMN published_count")
        }
        migrator.registerMigration("4: owner") { database in
            // Each processor that opens the store increments the epoch, and each commit checks it.
            // So if two processors have opened the same store, only the later one can commit, even
            // on file systems without file locks.
            try database.execute(
                sql: "CREATE TABLE owner (epoch INTEGER NOT NULL, store_id TEXT NOT NULL) STRICT")
            try database.execute(
                sql: "INSERT INTO owner VALUES (0, lower(hex(randomblob(6))))")
        }
        return migrator
    }

    /// Throws if the database belongs to another application or to a newer version of tally.
    static func checkApplicationID(_ database: Database, path: String) throws {
        let objects = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master")
        let mark = try Int.fetchOne(database, sql: "PRAGMA application_id")
        guard objects == 0 || mark == applicationID else {
            throw StoreError(.notAStore, path: path)
        }
        guard try !migrator.hasBeenSuperseded(database) else {
            throw StoreError(.newerVersion, path: path)
        }
    }

    /// Makes SQLite sync each commit before it returns, because its messages are finished
    /// afterwards. GRDB opens WAL databases with `synchronous = NORMAL`, with which a power failure
    /// can lose the latest commits.
    static func makeDurable(_ database: Database, path: String) throws {
        try database.execute(sql: "PRAGMA synchronous = FULL")
        let synchronous = try Int.fetchOne(database, sql: "PRAGMA synchronous")
        let journal = try String.fetchOne(database, sql: "PRAGMA journal_mode")
        guard synchronous == 2, journal == "wal" else {
            throw StoreError(.failed, path: path, detail: "its commits are not synced")
        }
    }

    /// Extends the write-ahead log to its usual length once, so that later commits overwrite the
    /// file instead of extending it.
    ///
    /// A commit that extends the file must also write the journal of the file system, and waits for
    /// the data of other processes in that journal. A commit that overwrites allocated blocks
    /// avoids this. Call this method before `makeDurable`, so that the pages are synced only once,
    /// by the checkpoint at its end.
    static func preallocateLog(_ database: Database) throws {
        try database.execute(sql: "PRAGMA synchronous = NORMAL")
        // The table exists already if an earlier process was killed within this method.
        try database.execute(sql: "DROP TABLE IF EXISTS stretch")
        try database.execute(sql: "CREATE TABLE stretch (bytes BLOB)")
        try database.execute(sql: "INSERT INTO stretch VALUES (zeroblob(16384))")
        for _ in 0..<logPages / 4 {
            try database.execute(sql: "UPDATE stretch SET bytes = randomblob(16384)")
        }
        try database.execute(sql: "DROP TABLE stretch")
        _ = try Row.fetchAll(database, sql: "PRAGMA wal_checkpoint(RESTART)")
    }

    /// SQLite's default number of pages between checkpoints, which is the usual length of the log.
    private static let logPages = 1000
}
