import GRDB

/// The tables of the store. Their names begin with `nsq_jobs_`, because they may live in an
/// application's own database.
///
/// The version of the schema is in `nsq_jobs_meta`, and not in GRDB's table of migrations, because that
/// table belongs to the application.
enum SQLiteSchema {
    /// All versions of the schema. To change the schema, append a migration; never edit an old one.
    private static let migrations: [@Sendable (Database) throws -> Void] = [
        { try createTables($0) },
        { try createCronTable($0) },
        { try addLimits($0) },
        { try addDependenciesAndBatches($0) },
        { try addSteps($0) },
        { try addIndexesOfNamesAndEnds($0) },
        { try createInspectionTables($0) },
        { try addProcessesOfWorkers($0) },
        { try addNamespacesOfProcesses($0) },
        { try countJobsWithLimits($0) },
        { try addTraceContext($0) },
    ]

    /// Creates the tables, or brings them to the newest version. Call it within a transaction.
    ///
    /// - Throws: ``JobsError/Code/storeUnusable`` if a newer version of this library has written them.
    static func migrate(_ database: Database) throws {
        let version =
            try database.tableExists("nsq_jobs_meta")
            ? Int.fetchOne(database, sql: "SELECT schema_version FROM nsq_jobs_meta") ?? 0 : 0
        guard version <= migrations.count else {
            throw JobsError(
                .storeUnusable,
                "the tables nsq_jobs_… have version \(version), which a newer version of this library "
                    + "has written (upgrade this program)")
        }
        for migration in migrations[version...] { try migration(database) }
        try database.execute(
            sql: "UPDATE nsq_jobs_meta SET schema_version = ?", arguments: [migrations.count])
    }

    private static func createTables(_ database: Database) throws {
        for statement in [meta, queue, worker, job, attempt, count] + indexes + [view] {
            try database.execute(sql: statement)
        }
        try database.execute(sql: "INSERT INTO nsq_jobs_meta VALUES (0, 1, '')")
    }

    private static func createCronTable(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE nsq_jobs_cron (
                    name TEXT NOT NULL PRIMARY KEY,
                    expression TEXT NOT NULL,
                    time_zone TEXT NOT NULL,
                    missed INTEGER NOT NULL,
                    next_at INTEGER,
                    job TEXT NOT NULL
                ) STRICT
                """)
        try database.execute(
            sql: """
                CREATE INDEX nsq_jobs_cron_next ON nsq_jobs_cron (next_at) WHERE next_at IS NOT NULL
                """)
    }

    /// `process` identifies the process of a worker, and `process_grace` is in microseconds.
    private static func addProcessesOfWorkers(_ database: Database) throws {
        try database.execute(sql: "ALTER TABLE nsq_jobs_worker ADD COLUMN process TEXT")
        try database.execute(
            sql: """
                ALTER TABLE nsq_jobs_worker ADD COLUMN process_grace INTEGER NOT NULL DEFAULT 0
                """)
        try database.execute(
            sql: """
                CREATE INDEX nsq_jobs_worker_running ON nsq_jobs_worker (seen_at)
                WHERE process IS NOT NULL AND stopped_at IS NULL
                """)
    }

    /// `trace_context` is a `TraceContext` as JSON.
    private static func addTraceContext(_ database: Database) throws {
        try database.execute(sql: "ALTER TABLE nsq_jobs_job ADD COLUMN trace_context TEXT")
    }

    /// A process can only check processes of its own namespaces, so the index finds the workers by
    /// their namespaces.
    private static func addNamespacesOfProcesses(_ database: Database) throws {
        for statement in [
            "ALTER TABLE nsq_jobs_worker ADD COLUMN process_namespaces TEXT",
            // The last of the three words that identify a process.
            """
            UPDATE nsq_jobs_worker SET process_namespaces =
                replace(process, rtrim(process, replace(process, ' ', '')), '')
            WHERE process IS NOT NULL
            """,
            "DROP INDEX nsq_jobs_worker_running",
            """
            CREATE INDEX nsq_jobs_worker_running ON nsq_jobs_worker (process_namespaces, seen_at)
            WHERE process IS NOT NULL AND stopped_at IS NULL
            """,
        ] {
            try database.execute(sql: statement)
        }
    }

    // MARK: Tables of version 1. Do not edit them; append a migration.

    /// `next_id` is the next job's ID. SQLite would assign the ID of a deleted job again, and a late
    /// message could then name another job.
    private static let meta = """
        CREATE TABLE nsq_jobs_meta (
            schema_version INTEGER NOT NULL,
            next_id INTEGER NOT NULL,
            boot_id TEXT NOT NULL
        ) STRICT
        """

    private static let queue = """
        CREATE TABLE nsq_jobs_queue (
            id INTEGER NOT NULL PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            is_paused INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """

    private static let worker = """
        CREATE TABLE nsq_jobs_worker (
            id INTEGER NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            queues TEXT NOT NULL,
            concurrency INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            seen_at INTEGER NOT NULL,
            stopped_at INTEGER
        ) STRICT
        """

    /// Times are in microseconds since 1970, `lease_until` in nanoseconds since the machine's start.
    /// `publish_at` is 0 for a job that was never published in this version, and otherwise the time at
    /// which it is published again if nobody has claimed it. The short columns come first, so that SQLite
    /// reads them without the pages of long arguments.
    private static let job = """
        CREATE TABLE nsq_jobs_job (
            id INTEGER NOT NULL PRIMARY KEY,
            queue_id INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            state INTEGER NOT NULL,
            version INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            max_attempts INTEGER NOT NULL,
            due_at INTEGER NOT NULL,
            publish_at INTEGER NOT NULL,
            publish_count INTEGER NOT NULL,
            lease_until INTEGER,
            worker_id INTEGER,
            is_cancel_requested INTEGER NOT NULL,
            started_at INTEGER,
            finished_at INTEGER,
            created_at INTEGER NOT NULL,
            first_delay INTEGER,
            max_delay INTEGER,
            jitter REAL,
            timeout INTEGER,
            unique_states INTEGER,
            is_unique INTEGER,
            name TEXT NOT NULL,
            unique_key TEXT,
            unique_lock TEXT,
            tags TEXT,
            note TEXT,
            arguments TEXT NOT NULL,
            output TEXT
        ) STRICT
        """

    /// The ended attempts that count, except a successful one, which is in the row of the job.
    private static let attempt = """
        CREATE TABLE nsq_jobs_attempt (
            job_id INTEGER NOT NULL,
            version INTEGER NOT NULL,
            number INTEGER NOT NULL,
            worker_id INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            ended_at INTEGER NOT NULL,
            result INTEGER NOT NULL,
            error TEXT,
            PRIMARY KEY (job_id, version)
        ) STRICT, WITHOUT ROWID
        """

    /// The number of jobs of each queue and state. Each transaction that changes jobs updates it, so
    /// that counting reads only a few rows.
    private static let count = """
        CREATE TABLE nsq_jobs_count (
            queue_id INTEGER NOT NULL,
            state INTEGER NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (queue_id, state)
        ) STRICT, WITHOUT ROWID
        """

    private static let indexes = [
        """
        CREATE INDEX nsq_jobs_job_available ON nsq_jobs_job (queue_id, priority, publish_at, id)
        WHERE state = 1
        """,
        "CREATE INDEX nsq_jobs_job_due ON nsq_jobs_job (due_at, id) WHERE state IN (0, 3)",
        "CREATE INDEX nsq_jobs_job_lease ON nsq_jobs_job (lease_until) WHERE state = 2",
        // Running jobs are few, and the index above finds them.
        "CREATE INDEX nsq_jobs_job_state ON nsq_jobs_job (queue_id, state, id) WHERE state <> 2",
        """
        CREATE UNIQUE INDEX nsq_jobs_job_unique ON nsq_jobs_job (unique_lock) WHERE is_unique = 1
        """,
        """
        CREATE INDEX nsq_jobs_job_key ON nsq_jobs_job (name, unique_key, id)
        WHERE unique_key IS NOT NULL
        """,
    ]

    /// The jobs with readable columns, for queries of people and applications.
    private static let view = """
        CREATE VIEW nsq_jobs_list AS
        SELECT job.id, queue.name AS queue, job.name,
            CASE job.state WHEN 0 THEN 'scheduled' WHEN 1 THEN 'available' WHEN 2 THEN 'running'
                WHEN 3 THEN 'retryable' WHEN 4 THEN 'completed' WHEN 5 THEN 'discarded'
                ELSE 'cancelled' END AS state,
            CASE job.priority WHEN 0 THEN 'high' WHEN 1 THEN 'normal' ELSE 'low' END AS priority,
            job.attempt, job.max_attempts, job.arguments, job.tags, job.unique_key, job.note,
            job.output, worker.name AS worker,
            datetime(job.created_at / 1000000, 'unixepoch') AS created_at,
            datetime(job.due_at / 1000000, 'unixepoch') AS due_at,
            datetime(job.started_at / 1000000, 'unixepoch') AS started_at,
            datetime(job.finished_at / 1000000, 'unixepoch') AS finished_at
        FROM nsq_jobs_job AS job
        JOIN nsq_jobs_queue AS queue ON queue.id = job.queue_id
        LEFT JOIN nsq_jobs_worker AS worker ON worker.id = job.worker_id
        """
}
