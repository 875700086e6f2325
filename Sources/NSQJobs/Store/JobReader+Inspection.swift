import GRDB
import TallyBasics

extension JobReader {
    /// The maximum number of rows of each kind in a snapshot.
    private static let (maxWorkers, maxRunning, maxErrors) = (200, 5_000, 50)
    /// The maximum number of queues for which the earliest due time is read.
    private static let maxSampledQueues = 200
    /// The number of available jobs in a queue from which the earliest due time is selected.
    private static let sampledJobs = 20

    func snapshot() throws -> JobSnapshot {
        var snapshot = JobSnapshot()
        snapshot.queues = try queueSnapshots()
        snapshot.workers = try liveWorkers()
        snapshot.running = try runningJobs()
        snapshot.errors = try errorGroups()
        return snapshot
    }

    private func queueSnapshots() throws -> [QueueSnapshot] {
        let numbers = try Row.fetchAll(database, sql: "SELECT name, id FROM nsq_jobs_queue")
            .reduce(into: [String: Int64]()) { $0[$1[0]] = $1[1] }
        let timings = try self.timings()
        return try counts().enumerated().map { index, counts in
            let number = numbers[counts.queue] ?? 0
            let isSampled = counts[.available] > 0 && index < Self.maxSampledQueues
            return QueueSnapshot(
                counts, oldestDue: isSampled ? try oldestDue(queue: number) : nil,
                timings: timings[number] ?? [:])
        }
    }

    private func timings() throws -> [Int64: [JobTiming.Kind: JobTiming]] {
        let rows = try Row.fetchCursor(
            database, sql: "SELECT queue_id, kind, bucket, count FROM nsq_jobs_timing")
        var timings: [Int64: [JobTiming.Kind: JobTiming]] = [:]
        while let row = try rows.next() {
            guard let kind = JobTiming.Kind(rawValue: row[1]) else { continue }
            timings[row[0], default: [:]][kind, default: JobTiming()].add(row[3], bucket: row[2])
        }
        return timings
    }

    private func oldestDue(queue: Int64) throws -> JobTime? {
        let select = try database.cachedStatement(
            sql: """
                SELECT min(due_at) FROM (SELECT due_at FROM nsq_jobs_job
                    WHERE queue_id = ? AND state = 1 AND state <> 2 ORDER BY id LIMIT ?)
                """)
        return try Int64.fetchOne(select, arguments: [queue, Self.sampledJobs]).map { JobTime($0) }
    }

    private func liveWorkers() throws -> [WorkerSnapshot] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, name, queues, concurrency, started_at, seen_at, memory
                FROM nsq_jobs_worker WHERE stopped_at IS NULL ORDER BY seen_at DESC LIMIT ?
                """)
        return try Row.fetchAll(select, arguments: [Self.maxWorkers]).map { row in
            WorkerSnapshot(
                number: row[0], name: row[1], queues: JobTags.decode(row[2]), concurrency: row[3],
                startedAt: JobTime(row[4] as Int64), seenAt: JobTime(row[5] as Int64),
                memory: row[6])
        }
    }

    private func runningJobs() throws -> [RunningJob] {
        let select = try database.cachedStatement(
            sql: """
                SELECT job.id, job.name, queue.name, job.worker_id, job.attempt, job.started_at,
                    job.is_cancel_requested
                FROM nsq_jobs_job AS job INDEXED BY nsq_jobs_job_lease
                LEFT JOIN nsq_jobs_queue AS queue ON queue.id = job.queue_id
                WHERE job.state = 2 LIMIT ?
                """)
        return try Row.fetchAll(select, arguments: [Self.maxRunning]).map { row in
            RunningJob(
                id: JobID(row[0] as Int64), name: row[1], queue: row[2] ?? "", worker: row[3] ?? 0,
                attempt: row[4], startedAt: JobTime(row[5] ?? 0), isCancelRequested: row[6])
        }
    }

    private func errorGroups() throws -> [JobErrorGroup] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, name, error, count, latest_job, latest_at FROM nsq_jobs_error
                WHERE count > 0 ORDER BY count DESC LIMIT ?
                """)
        return try Row.fetchAll(select, arguments: [Self.maxErrors]).map { row in
            JobErrorGroup(
                number: row[0], name: row[1], error: row[2], count: row[3],
                latestJob: JobID(row[4] as Int64), latestAt: JobTime(row[5] as Int64))
        }
    }

    /// The latest ended attempts in order.
    func latestAttempts(of id: JobID, limit: Int) throws -> [JobAttempt] {
        let select = try database.cachedStatement(
            sql: """
                SELECT attempt.number, worker.name, attempt.started_at, attempt.ended_at,
                    attempt.result, attempt.error
                FROM nsq_jobs_attempt AS attempt
                LEFT JOIN nsq_jobs_worker AS worker ON worker.id = attempt.worker_id
                WHERE attempt.job_id = ? ORDER BY attempt.version DESC LIMIT ?
                """)
        let success = try database.cachedStatement(
            sql: """
                SELECT job.attempt, worker.name, job.started_at, job.finished_at, 0, NULL
                FROM nsq_jobs_job AS job
                LEFT JOIN nsq_jobs_worker AS worker ON worker.id = job.worker_id
                WHERE job.id = ? AND job.state = 4
                """)
        let rows = try Row.fetchAll(select, arguments: [id.number, limit]).reversed()
        return try (Array(rows) + Row.fetchAll(success, arguments: [id.number])).map { row in
            JobAttempt(
                number: row[0], worker: row[1] ?? "unknown", startedAt: JobTime(row[2] ?? 0),
                endedAt: JobTime(row[3] ?? 0),
                result: JobAttempt.Result(rawValue: row[4]) ?? .failed, error: row[5])
        }
    }

    func actions(before: Int64?, limit: Int) throws -> [JobAction] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, at, action, target, changed, unchanged, error FROM nsq_jobs_action
                WHERE id < ? ORDER BY id DESC LIMIT ?
                """)
        return try Row.fetchAll(select, arguments: [before ?? .max, limit]).map { row in
            JobAction(
                number: row[0], at: JobTime(row[1] as Int64),
                action: NewJobAction(
                    row[2], target: row[3], changed: row[4], unchanged: row[5], error: row[6]))
        }
    }
}

extension SQLiteJobStore: JobInspection {
    package func snapshot() async throws(JobsError) -> JobSnapshot {
        try await read { try $0.snapshot() }
    }

    package func latestAttempts(
        of id: JobID, limit: Int
    ) async throws(JobsError) -> [JobAttempt] {
        try await read { try $0.latestAttempts(of: id, limit: limit) }
    }

    package func preview(of query: JobQuery) async throws(JobsError) -> JobQueryPreview {
        try await read { try $0.preview(of: query) }
    }

    package func record(_ action: NewJobAction, at now: JobTime) async throws(JobsError) {
        try await write { try $0.record(action, at: now) }
    }

    package func actions(
        before: Int64?, limit: Int
    ) async throws(JobsError) -> [JobAction] {
        try await read { try $0.actions(before: before, limit: limit) }
    }
}
