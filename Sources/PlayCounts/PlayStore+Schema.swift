import GRDB

extension PlayStore {
    /// Marks a database as ours: "TALY".
    static let applicationID = 0x5441_4C59

    /// Every version of the schema there ever was. To change it, add one; never edit an old one.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: counts") { database in
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            // The id as text: 20 bytes more a video, but `select * from counts` in any tool
            // shows what the client shows. No index on it: GUIDs fall anywhere in one, so a batch
            // of 2500 new videos would touch 2500 pages (68 ms, where a million videos are).
            // `VideoRows` finds the row instead, and sees to it that no video has two.
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
            // A row a batch: a row for each of its plays would cost as much as all the rest. For
            // what a generation is, see `CountedPlays`.
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
            // What each client has taken, and not only what all have: one that was gone is told
            // what it has missed, and the others nothing over again. Rows of a client lie side by
            // side in the order of the counts.
            try database.execute(
                sql: """
                    CREATE TABLE clients (
                        client INTEGER NOT NULL PRIMARY KEY,
                        name TEXT NOT NULL UNIQUE,
                        is_served INTEGER NOT NULL
                    ) STRICT
                    """)
            try database.execute(
                sql: """
                    CREATE TABLE published (
                        client INTEGER NOT NULL,
                        number INTEGER NOT NULL,
                        play_count INTEGER NOT NULL,
                        PRIMARY KEY (client, number)
                    ) STRICT, WITHOUT ROWID
                    """)
            // Before there was one client, and it had no name.
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
        return migrator
    }

    /// Someone else's database must not become ours by mistake.
    static func checkThatItIsOurs(_ database: Database, path: String) throws {
        let objects = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master")
        let mark = try Int.fetchOne(database, sql: "PRAGMA application_id")
        guard objects == 0 || mark == applicationID else {
            throw StoreError(.notAStore, path: path)
        }
        guard try !migrator.hasBeenSuperseded(database) else {
            throw StoreError(.newerVersion, path: path)
        }
    }

    /// GRDB opens a WAL database with `synchronous` at NORMAL, which may lose the last commits
    /// when the power goes. A FIN follows our commits, so they must be on the disk.
    static func makeDurable(_ database: Database, path: String) throws {
        try database.execute(sql: "PRAGMA synchronous = FULL")
        let synchronous = try Int.fetchOne(database, sql: "PRAGMA synchronous")
        let journal = try String.fetchOne(database, sql: "PRAGMA journal_mode")
        guard synchronous == 2, journal == "wal" else {
            throw StoreError(.failed, path: path, detail: "it does not sync its commits")
        }
    }

    /// Writes the write-ahead log to its full length once, to be overwritten from its start.
    ///
    /// A commit that makes its file grow has the file system's own journal written, and waits for
    /// all that others have in it; a commit over what is there already does not. To be done before
    /// `makeDurable`: what is written here is synced once, by the checkpoint at its end.
    static func stretchLog(_ database: Database) throws {
        try database.execute(sql: "PRAGMA synchronous = NORMAL")
        // Left over if the process was killed in the midst of this.
        try database.execute(sql: "DROP TABLE IF EXISTS stretch")
        try database.execute(sql: "CREATE TABLE stretch (bytes BLOB)")
        try database.execute(sql: "INSERT INTO stretch VALUES (zeroblob(16384))")
        for _ in 0..<logPages / 4 {
            try database.execute(sql: "UPDATE stretch SET bytes = randomblob(16384)")
        }
        try database.execute(sql: "DROP TABLE stretch")
        _ = try Row.fetchAll(database, sql: "PRAGMA wal_checkpoint(RESTART)")
    }

    /// SQLite's own interval of checkpoints: the log does not grow longer as a rule.
    private static let logPages = 1000
}
