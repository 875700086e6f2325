import GRDB

extension SQLiteSchema {
    /// Adds the tables, columns and indexes for the limits of queues and keys.
    static func addLimits(_ database: Database) throws {
        for statement in limits { try database.execute(sql: statement) }
    }

    /// Adds the counts of the jobs that wait for a limit to the stored counts of the jobs in each
    /// state; see ``JobCounter``.
    static func countJobsWithLimits(_ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO nsq_jobs_count (queue_id, state, count)
                SELECT queue_id, \(JobCounter.waitingForLimit.column), count(*) FROM nsq_jobs_job
                WHERE hold IN (1, 2) GROUP BY queue_id
                """)
    }

    /// `hold` is a `JobLifecycle.Hold`. The key of a row is empty for the limit of a whole queue.
    /// `nsq_jobs_limit_check` has the position up to which the waiting jobs of a queue were checked since
    /// its limit was changed.
    private static let limits = [
        "ALTER TABLE nsq_jobs_job ADD COLUMN hold INTEGER",
        "ALTER TABLE nsq_jobs_job ADD COLUMN limit_key TEXT",
        "DROP INDEX nsq_jobs_job_due",
        """
        CREATE INDEX nsq_jobs_job_due ON nsq_jobs_job (due_at, id)
        WHERE state IN (0, 3) AND hold IS NULL
        """,
        """
        CREATE INDEX nsq_jobs_job_hold ON nsq_jobs_job (queue_id, hold, priority, id)
        WHERE hold IS NOT NULL
        """,
        """
        CREATE INDEX nsq_jobs_job_hold_key ON nsq_jobs_job (queue_id, limit_key, hold, priority, id)
        WHERE hold IS NOT NULL AND limit_key IS NOT NULL
        """,
        """
        CREATE INDEX nsq_jobs_job_running_key ON nsq_jobs_job (queue_id, limit_key)
        WHERE state = 2 AND limit_key IS NOT NULL
        """,
        """
        CREATE TABLE nsq_jobs_limit (
            queue_id INTEGER NOT NULL,
            is_per_key INTEGER NOT NULL,
            max_running INTEGER,
            max_starts INTEGER,
            window INTEGER,
            PRIMARY KEY (queue_id, is_per_key)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE nsq_jobs_start (
            queue_id INTEGER NOT NULL,
            key TEXT NOT NULL,
            number INTEGER NOT NULL,
            at INTEGER NOT NULL,
            ends_at INTEGER NOT NULL,
            PRIMARY KEY (queue_id, key, number)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX nsq_jobs_start_end ON nsq_jobs_start (ends_at)",
        """
        CREATE TABLE nsq_jobs_limit_wake_up (
            queue_id INTEGER NOT NULL,
            key TEXT NOT NULL,
            wake_at INTEGER NOT NULL,
            PRIMARY KEY (queue_id, key)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX nsq_jobs_limit_wake_up_time ON nsq_jobs_limit_wake_up (wake_at)",
        """
        CREATE TABLE nsq_jobs_limit_check (
            queue_id INTEGER NOT NULL PRIMARY KEY,
            hold INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            job_id INTEGER NOT NULL
        ) STRICT
        """,
    ]
}
