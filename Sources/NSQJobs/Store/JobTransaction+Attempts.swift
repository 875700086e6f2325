import GRDB
import TallyBasics
import UVLoop

extension JobTransaction {
    /// The number of latest workers whose rows are kept.
    private static let maxWorkers = 10_000

    /// - Parameter process: the identity of the worker's process; `nil` if it is not known.
    func registerWorker(
        _ worker: NewWorker, process: String?, at now: JobTime
    ) throws -> Int64 {
        try database.execute(
            sql: """
                INSERT INTO nsq_jobs_worker
                    (name, queues, concurrency, started_at, seen_at, memory, process, process_grace,
                    process_namespaces)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                worker.name, JobTags.encode(worker.queues) ?? "[]", worker.concurrency,
                now.microseconds, now.microseconds, ProcessUsage.residentBytes, process,
                worker.gracePeriod.microsecondsRoundedUp,
                process.map { ProcessLiveness.namespaces(of: $0) },
            ])
        let number = database.lastInsertedRowID
        try database.execute(
            sql: "DELETE FROM nsq_jobs_worker WHERE id <= ?",
            arguments: [number - Int64(Self.maxWorkers)])
        return number
    }

    func updateWorker(_ number: Int64, isStopped: Bool, at now: JobTime) throws {
        try database.execute(
            sql: "UPDATE nsq_jobs_worker SET seen_at = ?, stopped_at = ?, memory = ? WHERE id = ?",
            // The store runs in the process of the worker, so this is the memory of the worker's
            // process.
            arguments: [
                now.microseconds, isStopped ? now.microseconds : nil, ProcessUsage.residentBytes,
                number,
            ])
    }

    /// Claims the jobs that are still available in the version of the reference.
    func claim(
        _ references: [JobReference], worker: Int64, leaseEnd: MonotonicInstant, at now: JobTime
    ) throws -> [ClaimResult] {
        try references.map {
            try claim($0.id, version: $0.version, worker: worker, leaseEnd: leaseEnd, at: now)
        }
    }

    /// Claims available jobs in the order in which the relay would publish them.
    func claimNext(
        limit: Int, worker: Int64, leaseEnd: MonotonicInstant, at now: JobTime
    ) throws -> [JobRecord] {
        var records: [JobRecord] = []
        for topic in try availableTopics() where records.count < limit {
            let select = try database.cachedStatement(
                sql: """
                    SELECT id FROM nsq_jobs_job
                    WHERE state = 1 AND queue_id = ? AND priority = ? ORDER BY publish_at, id LIMIT 1
                    """)
            let arguments: StatementArguments = [topic.queue, topic.priority.rawValue]
            while records.count < limit,
                let id = try Int64.fetchOne(select, arguments: arguments)
            {
                let result = try claim(
                    JobID(id), version: nil, worker: worker, leaseEnd: leaseEnd, at: now)
                switch result {
                case .claimed(let record): records.append(record)
                case .limited: break
                case .stale, .held, .paused: return records
                }
            }
        }
        return records
    }

    private func claim(
        _ id: JobID, version: Int?, worker: Int64, leaseEnd: MonotonicInstant, at now: JobTime
    ) throws -> ClaimResult {
        let select = try statement(
            .selectRecord, "SELECT \(StoredJob.columns) FROM nsq_jobs_job WHERE id = ?")
        guard var job = try StoredJob.fetchOne(select, [id.number]) else { return .stale }
        let old = job.row.lifecycle
        let lease = JobLifecycle.Lease(worker: worker, end: leaseEnd)
        guard job.row.lifecycle.claim(version: version, lease: lease, at: now) else {
            return .stale
        }
        guard try !isPaused(job.row.queue) else {
            try setPublishTime(0, count: 0, of: job.row.id)
            return .paused
        }
        if case .wait(_, let until) = try limitDecision(job.row, old, at: now) {
            return .limited(until: until)
        }
        job.row.worker = worker
        inspection.add(now - job.row.lifecycle.dueAt, .wait, queue: job.row.queue)
        try write(job.row, from: old, at: now)
        return .claimed(job.record(queue: try queueName(job.row.queue)))
    }

    func renew(_ claims: [JobClaim], leaseEnd: MonotonicInstant) throws
        -> [JobLifecycle.Renewal]
    {
        let update = try database.cachedStatement(
            sql: "UPDATE nsq_jobs_job SET lease_until = ? WHERE id = ?")
        return try claims.map { claim in
            guard var row = try row(claim.id) else { return .lost }
            let renewal = row.lifecycle.renew(claim.claim, until: leaseEnd)
            guard renewal != .lost, let lease = row.lifecycle.lease else { return .lost }
            try update.execute(arguments: [lease.end.nanoseconds, claim.id.number])
            return renewal
        }
    }

    /// Ends attempts.
    ///
    /// - Returns: for each settlement in order, whether the claim was held.
    func settle(_ settlements: [Settlement], at now: JobTime) throws -> SettleResult {
        let isHeld = try settlements.map { try settle($0, at: now) }
        try settleConsequences()
        return SettleResult(isHeld: isHeld, hasNewlyAvailable: hasNewlyAvailable)
    }

    private func settle(_ settlement: Settlement, at now: JobTime) throws -> Bool {
        guard var row = try row(settlement.claim.id) else { return false }
        let before = row.lifecycle
        guard row.lifecycle.settle(settlement.claim.claim, settlement.outcome, at: now) else {
            return false
        }
        if let note = settlement.outcome.note { row.note = note }
        row.resetPublication()
        try write(row, from: before, at: now)
        if let kind = JobTiming.Kind(settlement.outcome) {
            inspection.add(now - (before.startedAt ?? now), kind, queue: row.queue)
        }
        if let result = settlement.outcome.result(endingIn: row.lifecycle.state) {
            try insertAttempt(
                of: row, before, result, error: settlement.outcome.note, at: now)
        }
        return true
    }

    /// Ends the attempts whose leases have expired.
    func expireLeases(
        limit: Int, leaseNow: MonotonicInstant, at now: JobTime
    ) throws -> Int {
        let select = try database.cachedStatement(
            sql: """
                SELECT id FROM nsq_jobs_job WHERE state = 2 AND lease_until <= ?
                ORDER BY lease_until LIMIT ?
                """)
        var count = 0
        for id in try Int64.fetchAll(select, arguments: [leaseNow.nanoseconds, limit]) {
            guard var row = try row(JobID(id)) else { continue }
            let before = row.lifecycle
            guard row.lifecycle.expireLease(at: leaseNow, now) else { continue }
            let note = "the worker did not renew its lease"
            row.note = note
            row.resetPublication()
            try write(row, from: before, at: now)
            try insertAttempt(of: row, before, .leaseExpired, error: note, at: now)
            count += 1
        }
        return count
    }

    private func insertAttempt(
        of row: JobRow, _ ended: JobLifecycle, _ result: JobAttempt.Result, error: String?,
        at now: JobTime
    ) throws {
        let insert = try statement(
            .insertAttempt,
            """
            INSERT OR REPLACE INTO nsq_jobs_attempt
                (job_id, version, number, worker_id, started_at, ended_at, result, error)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """)
        try insert.execute(arguments: [
            row.id, ended.version, ended.attempt, row.worker ?? 0,
            (ended.startedAt ?? now).microseconds, now.microseconds, result.rawValue, error,
        ])
    }

    /// Stores the output of a running job.
    func setOutput(_ json: String, of claim: JobClaim) throws -> Bool {
        guard let row = try row(claim.id), row.lifecycle.claim == claim.claim else { return false }
        let update = try database.cachedStatement(
            sql: "UPDATE nsq_jobs_job SET output = ? WHERE id = ?")
        try update.execute(arguments: [json, claim.id.number])
        return true
    }
}

extension JobOutcome {
    /// The maximum length of a kept error text in bytes.
    private static let maxNoteBytes = 16_384

    /// The text that is kept in the row of the job; `nil` if the outcome has none.
    fileprivate var note: String? {
        switch self {
        case .complete, .snooze, .release: nil
        case .fail(let text, _), .unhandled(let text, _), .discard(let text), .cancel(let text):
            String(decoding: text.utf8.prefix(Self.maxNoteBytes), as: UTF8.self)
        }
    }

    /// The result to store in a row for the attempt; `nil` if no row is stored. An attempt that
    /// does not count has no row. A successful attempt has none either, because the row of the job
    /// shows its result.
    fileprivate func result(endingIn state: JobState) -> JobAttempt.Result? {
        switch self {
        case .complete: nil
        case .fail: .failed
        case .discard: .discarded
        case .cancel: .cancelled
        case .snooze, .unhandled, .release: state == .cancelled ? .cancelled : nil
        }
    }
}
