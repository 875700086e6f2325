import GRDB

extension SQLiteSchema {
    /// Adds the tables and columns for batches, and for jobs that wait for other jobs.
    static func addDependenciesAndBatches(_ database: Database) throws {
        for statement in dependenciesAndBatches { try database.execute(sql: statement) }
    }

    /// `nsq_jobs_unresolved` has ended jobs with more dependents than one change releases.
    private static let dependenciesAndBatches = [
        """
        CREATE TABLE nsq_jobs_dependency (
            dependency_id INTEGER NOT NULL,
            job_id INTEGER NOT NULL,
            on_failure INTEGER NOT NULL,
            PRIMARY KEY (dependency_id, job_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX nsq_jobs_dependency_job ON nsq_jobs_dependency (job_id)",
        "CREATE TABLE nsq_jobs_unresolved (job_id INTEGER NOT NULL PRIMARY KEY) STRICT",
        "ALTER TABLE nsq_jobs_job ADD COLUMN batch_id INTEGER",
        """
        CREATE INDEX nsq_jobs_job_batch ON nsq_jobs_job (batch_id, id) WHERE batch_id IS NOT NULL
        """,
        """
        CREATE TABLE nsq_jobs_batch (
            id INTEGER NOT NULL PRIMARY KEY,
            is_open INTEGER NOT NULL,
            total INTEGER NOT NULL DEFAULT 0,
            completed INTEGER NOT NULL DEFAULT 0,
            discarded INTEGER NOT NULL DEFAULT 0,
            cancelled INTEGER NOT NULL DEFAULT 0,
            callback_id INTEGER,
            created_at INTEGER NOT NULL,
            ended_at INTEGER,
            callback TEXT
        ) STRICT
        """,
        """
        CREATE INDEX nsq_jobs_batch_callback ON nsq_jobs_batch (callback_id)
        WHERE callback_id IS NOT NULL
        """,
        "CREATE INDEX nsq_jobs_batch_end ON nsq_jobs_batch (ended_at) WHERE ended_at IS NOT NULL",
    ]
}
