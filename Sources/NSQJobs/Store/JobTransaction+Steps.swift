import GRDB

extension JobTransaction {
    /// Stores the result of a step of a running job.
    ///
    /// - Returns: `false` if the claim is not held any more.
    /// - Throws: ``JobsError/Code/invalidArguments`` if the job has too many steps or too large results.
    func storeStep(
        _ name: String, result: String, of claim: JobClaim, at now: JobTime
    ) throws -> Bool {
        guard let row = try row(claim.id), row.lifecycle.claim == claim.claim else { return false }
        try checkSteps(of: claim.id, adding: result.utf8.count, name: name)
        let insert = try database.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO nsq_jobs_step (job_id, name, completed_at, size, result)
                VALUES (?, ?, ?, ?, ?)
                """)
        try insert.execute(arguments: [
            claim.id.number, name, now.microseconds, result.utf8.count, result,
        ])
        ends.hasSteps = true
        return true
    }

    private func checkSteps(of id: JobID, adding size: Int, name: String) throws {
        let select = try database.cachedStatement(
            sql: """
                SELECT count(*), total(size) FROM nsq_jobs_step WHERE job_id = ? AND name <> ?
                """)
        let row = try Row.fetchOne(select, arguments: [id.number, name])
        guard row?[0] ?? 0 < JobStep.maxCount else {
            throw JobsError(
                .invalidArguments,
                "step '\(name)' is one too many: a job can have \(JobStep.maxCount) steps")
        }
        // A sum of floating-point numbers does not overflow.
        let total = (row?[1] ?? 0.0) + Double(size)
        guard total <= Double(JobStep.maxTotalBytes) else {
            throw JobsError(
                .invalidArguments,
                "with the result of step '\(name)', \(size) bytes, the steps of job \(id) have more "
                    + "than \(JobStep.maxTotalBytes) bytes")
        }
    }

    func deleteSteps(of id: JobID) throws {
        guard try hasSteps() else { return }
        let delete = try database.cachedStatement(
            sql: "DELETE FROM nsq_jobs_step WHERE job_id = ?")
        try delete.execute(arguments: [id.number])
    }

    /// Returns whether any job has steps.
    private func hasSteps() throws -> Bool {
        if let known = ends.hasSteps { return known }
        let select = try database.cachedStatement(sql: "SELECT 1 FROM nsq_jobs_step LIMIT 1")
        let found = try Int.fetchOne(select) != nil
        ends.hasSteps = found
        return found
    }
}

extension JobReader {
    /// Returns the result of a step; `nil` if it has not completed.
    func step(_ name: String, of id: JobID) throws -> String? {
        let select = try database.cachedStatement(
            sql: "SELECT result FROM nsq_jobs_step WHERE job_id = ? AND name = ?")
        return try String.fetchOne(select, arguments: [id.number, name])
    }

    /// Returns the steps of a job in the order of their end.
    func steps(of id: JobID) throws -> [JobStep] {
        let select = try database.cachedStatement(
            sql: """
                SELECT name, result, completed_at FROM nsq_jobs_step WHERE job_id = ?
                ORDER BY completed_at, id LIMIT \(JobStep.maxCount)
                """)
        return try Row.fetchAll(select, arguments: [id.number]).map {
            JobStep(name: $0[0], result: $0[1], completedAt: JobTime($0[2] as Int64))
        }
    }
}
