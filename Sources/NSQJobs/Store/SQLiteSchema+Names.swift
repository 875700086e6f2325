import GRDB

extension SQLiteSchema {
    /// Adds the indexes for lists by the name of jobs, and for deletion by age.
    static func addIndexesOfNamesAndEnds(_ database: Database) throws {
        try database.execute(sql: "CREATE INDEX nsq_jobs_job_name ON nsq_jobs_job (name, id)")
        try database.execute(
            sql: """
                CREATE INDEX nsq_jobs_job_finished ON nsq_jobs_job (state, finished_at)
                WHERE state >= 4
                """)
    }
}
