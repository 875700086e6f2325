import GRDB

extension SQLiteSchema {
    /// Adds the table for the results of steps.
    static func addSteps(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE nsq_jobs_step (
                    id INTEGER NOT NULL PRIMARY KEY,
                    job_id INTEGER NOT NULL,
                    name TEXT NOT NULL,
                    completed_at INTEGER NOT NULL,
                    size INTEGER NOT NULL,
                    result TEXT NOT NULL,
                    UNIQUE (job_id, name)
                ) STRICT
                """)
    }
}
