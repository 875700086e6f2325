import GRDB

/// The queries of the SQLite store. None of them counts rows, and each reads a bounded number of rows.
struct JobReader {
    let database: Database

    func job(_ id: JobID) throws -> JobRecord? {
        try records("WHERE job.id = ?", [id.number]).first
    }

    func latestJob(name: String, uniqueKey: String) throws -> JobRecord? {
        try records(
            "WHERE job.name = ? AND job.unique_key = ? ORDER BY job.id DESC LIMIT 1",
            [name, uniqueKey]
        ).first
    }

    private func records(
        _ condition: String, _ arguments: StatementArguments
    ) throws -> [JobRecord] {
        let sql = "SELECT \(StoredJob.columns) FROM nsq_jobs_job AS job \(condition)"
        let jobs = try StoredJob.fetchAll(database.cachedStatement(sql: sql), arguments)
        let select = try database.cachedStatement(
            sql: "SELECT name FROM nsq_jobs_queue WHERE id = ?")
        return try jobs.map { job in
            let queue = try String.fetchOne(select, arguments: [job.row.queue]) ?? ""
            return job.record(queue: queue)
        }
    }

    /// The ended attempts in order; see ``JobAttempt``.
    func attempts(of id: JobID) throws -> [JobAttempt] {
        let select = try database.cachedStatement(
            sql: """
                SELECT attempt.number, worker.name, attempt.started_at, attempt.ended_at,
                    attempt.result, attempt.error
                FROM nsq_jobs_attempt AS attempt
                LEFT JOIN nsq_jobs_worker AS worker ON worker.id = attempt.worker_id
                WHERE attempt.job_id = ?1
                UNION ALL
                SELECT job.attempt, worker.name, job.started_at, job.finished_at, 0, NULL
                FROM nsq_jobs_job AS job
                LEFT JOIN nsq_jobs_worker AS worker ON worker.id = job.worker_id
                WHERE job.id = ?1 AND job.state = 4
                ORDER BY 4
                """)
        return try Row.fetchAll(select, arguments: [id.number]).map { row in
            JobAttempt(
                number: row[0], worker: row[1] ?? "unknown", startedAt: JobTime(row[2] ?? 0),
                endedAt: JobTime(row[3] ?? 0),
                result: JobAttempt.Result(rawValue: row[4]) ?? .failed,
                error: row[5])
        }
    }

    func counts() throws -> [QueueCounts] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT queue.name, queue.is_paused, count.state, count.count, queue.id
                FROM nsq_jobs_queue AS queue
                LEFT JOIN nsq_jobs_count AS count ON count.queue_id = queue.id
                ORDER BY queue.name
                """)
        let limits = Dictionary(grouping: try self.limits(), by: \.queue)
        var counts: [QueueCounts] = []
        for row in rows {
            let name: String = row[0]
            let column: Int? = row[2]
            if counts.last?.queue != name {
                var queue = QueueCounts(queue: name, isPaused: row[1], counts: [:])
                for stored in limits[row[4]] ?? [] {
                    if stored.isPerKey {
                        queue.keyLimit = stored.limit
                    } else {
                        queue.limit = stored.limit
                    }
                }
                counts.append(queue)
            }
            switch column.flatMap(JobCounter.init(column:)) {
            case .state(let state): counts[counts.count - 1][state] = Self.bounded(row[3])
            case .waitingForLimit:
                counts[counts.count - 1].waitingForLimit = Self.bounded(row[3])
            case nil: break
            }
        }
        return counts
    }

    /// Limits a stored number of jobs, so that sums do not overflow even if another program has edited
    /// the database.
    static func bounded(_ count: Int) -> Int { min(max(0, count), 1 << 40) }

    func workers() throws -> [WorkerRecord] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT id, name, queues, concurrency, started_at, seen_at, stopped_at
                FROM nsq_jobs_worker ORDER BY id DESC LIMIT 1000
                """)
        return try rows.map { row in
            let running = try Int64.fetchAll(
                database,
                sql: "SELECT id FROM nsq_jobs_job WHERE state = 2 AND worker_id = ? LIMIT 1000",
                arguments: [row[0] as Int64])
            return WorkerRecord(
                number: row[0], name: row[1], queues: JobTags.decode(row[2]), concurrency: row[3],
                startedAt: JobTime(microseconds: row[4]), seenAt: JobTime(microseconds: row[5]),
                stoppedAt: (row[6] as Int64?).map { JobTime($0) },
                runningJobs: running.map { JobID($0) })
        }
    }

    /// Selects the claims whose cancellation was requested, and those that are not held any more.
    func cancellations(of claims: [JobClaim]) throws -> Set<JobClaim> {
        let select = try database.cachedStatement(
            sql: """
                SELECT 1 FROM nsq_jobs_job
                WHERE id = ? AND state = 2 AND version = ? AND is_cancel_requested = 0
                """)
        return try Set(
            claims.filter { claim in
                try Int.fetchOne(select, arguments: [claim.id.number, claim.claim.version]) == nil
            })
    }

    /// Returns the earliest time at which a job is due.
    func nextDueTime() throws -> JobTime? {
        try Int64.fetchOne(
            database,
            sql: """
                SELECT due_at FROM nsq_jobs_job WHERE state IN (0, 3) AND hold IS NULL
                ORDER BY due_at, id LIMIT 1
                """
        ).map { JobTime($0) }
    }
}
