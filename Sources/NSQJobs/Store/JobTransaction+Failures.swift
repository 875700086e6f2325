import GRDB

extension JobTransaction {
    /// Moves a job to the group of its error, and out of its previous group.
    ///
    /// This is not a trigger, because a trigger is evaluated for every change of a row. Its condition
    /// alone made an update of a row a quarter slower; compare with: 60,000 updates of `state` in one
    /// transaction, with and without a trigger `AFTER UPDATE OF state … WHEN NEW.state IN (3, 5)`.
    func updateFailure(of id: Int64, from old: JobState, to new: JobState) throws {
        guard old != new, old.isFailure || new.isFailure else { return }
        if old.isFailure { try removeFailure(of: id) }
        if new.isFailure { try insertFailure(of: id) }
    }

    private func removeFailure(of id: Int64) throws {
        let update = try database.cachedStatement(
            sql: """
                UPDATE nsq_jobs_error SET count = count - 1
                WHERE id = (SELECT error_id FROM nsq_jobs_failure WHERE job_id = ?)
                """)
        try update.execute(arguments: [id])
        let delete = try database.cachedStatement(
            sql: "DELETE FROM nsq_jobs_failure WHERE job_id = ?")
        try delete.execute(arguments: [id])
    }

    private func insertFailure(of id: Int64) throws {
        let group = try database.cachedStatement(
            sql: """
                INSERT INTO nsq_jobs_error (name, error, count, latest_job, latest_at)
                SELECT job.name, \(SQLiteSchema.errorText("job")), 1, job.id,
                    ifnull(job.finished_at, ifnull(job.started_at, 0))
                FROM nsq_jobs_job AS job
                WHERE job.id = ? AND \(SQLiteSchema.isFailed("job"))
                ON CONFLICT (name, error) DO UPDATE SET count = count + 1,
                    latest_job = excluded.latest_job, latest_at = excluded.latest_at
                """)
        try group.execute(arguments: [id])
        let job = try database.cachedStatement(
            sql: """
                INSERT INTO nsq_jobs_failure (job_id, error_id)
                SELECT job.id, error.id FROM nsq_jobs_job AS job
                JOIN nsq_jobs_error AS error ON error.name = job.name
                    AND error.error = \(SQLiteSchema.errorText("job"))
                WHERE job.id = ? AND \(SQLiteSchema.isFailed("job"))
                """)
        try job.execute(arguments: [id])
    }
}

extension JobState {
    /// `true` if jobs in this state belong to a group of errors.
    fileprivate var isFailure: Bool { self == .retryable || self == .discarded }
}
