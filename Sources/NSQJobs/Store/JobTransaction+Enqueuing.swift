import GRDB

extension JobTransaction {
    /// Stores new jobs.
    ///
    /// - Parameter policy: reserves new available jobs for a caller that publishes them itself; `nil`
    ///   leaves all to the relay.
    func enqueue(
        _ jobs: [NewJob], publishing policy: PublishPolicy?, at now: JobTime
    ) throws -> EnqueueResult {
        guard !jobs.isEmpty else { return EnqueueResult() }
        var nextID = try reserveIDs(jobs.count)
        var result = EnqueueResult()
        result.receipts.reserveCapacity(jobs.count)
        for job in jobs {
            if let key = job.uniqueKey {
                let lock = job.options.uniqueness.lockText(
                    name: job.name, key: key, enqueuedAt: now)
                if let existing = try uniqueJob(lock) {
                    result.receipts.append(try resolve(job, existing, &result, at: now))
                    continue
                }
            }
            try insert(job, id: JobID(nextID), policy, &result, at: now)
            result.receipts.append(EnqueueReceipt(JobID(nextID), .new))
            nextID += 1
        }
        return result
    }

    private static let maxID: Int64 = 1 << 62

    func reserveIDs(_ count: Int) throws -> Int64 {
        let select = try database.cachedStatement(sql: "SELECT next_id FROM nsq_jobs_meta")
        let first = try Int64.fetchOne(select) ?? 1
        guard 1...Self.maxID ~= first else {
            throw JobsError(.storeFailed, "the job store is damaged: its next ID is \(first)")
        }
        let update = try database.cachedStatement(sql: "UPDATE nsq_jobs_meta SET next_id = ?")
        try update.execute(arguments: [first + Int64(count)])
        return first
    }

    private func insert(
        _ job: NewJob, id: JobID, _ policy: PublishPolicy?, _ result: inout EnqueueResult,
        at now: JobTime
    ) throws {
        let options = job.options
        let queue = try queueNumber(options.queue)
        var lifecycle = JobLifecycle(
            maxAttempts: options.retry.maxAttempts, dueAt: job.dueAt ?? now, now: now)
        let dependencies = try job.dependencies.map { try storeDependencies($0, of: id) }
        if dependencies?.isWaiting == true || dependencies?.failed != nil {
            lifecycle.waitForJobs()
        }
        if let batch = job.batch { try addToBatch(batch, at: now) }
        var publishAt: Int64 = 0
        if lifecycle.state == .available {
            let available = AvailableTopic(queue: queue, priority: options.priority)
            if let policy, try reserve(available, policy, at: now) {
                publishAt = policy.nextPublish(afterPublish: 1, at: now).microseconds
                let topic = JobTopic(queue: options.queue, priority: options.priority)
                result.publications.append(
                    ReservedJob(
                        JobReference(id: id, version: lifecycle.version), to: topic, name: job.name)
                )
            } else {
                result.hasUnpublished = true
            }
        } else if lifecycle.hold == nil {
            result.earliestDue = min(result.earliestDue ?? lifecycle.dueAt, lifecycle.dueAt)
        }
        try execute(insertOf: job, id: id, queue: queue, lifecycle, publishAt: publishAt, at: now)
        count(1, queue: queue, lifecycle.state)
        if let failed = dependencies?.failed, let row = try row(id) {
            try cancel(row, after: failed, at: now)
        }
    }

    /// Reserves a new job for the caller that publishes it, if the publish window has space.
    private func reserve(
        _ topic: AvailableTopic, _ policy: PublishPolicy, at now: JobTime
    ) throws -> Bool {
        let free = try freeReservations[topic] ?? freeReservations(topic, policy, at: now)
        freeReservations[topic] = max(0, free - 1)
        return free > 0
    }

    private func execute(
        insertOf job: NewJob, id: JobID, queue: Int64, _ lifecycle: JobLifecycle,
        publishAt: Int64, at now: JobTime
    ) throws {
        let insert = try statement(
            .insert,
            """
            INSERT INTO nsq_jobs_job (id, queue_id, priority, state, version, attempt, max_attempts,
                due_at, publish_at, publish_count, is_cancel_requested, created_at, first_delay,
                max_delay, jitter, timeout, unique_states, is_unique, name, unique_key,
                unique_lock, tags, arguments, limit_key, hold, batch_id, trace_context)
            VALUES (?, ?, ?, ?, 1, 0, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        let options = job.options
        let retry = options.retry
        let uniqueness = job.uniqueKey == nil ? nil : options.uniqueness
        let usual = JobRetryPolicy()
        try insert.execute(arguments: [
            id.number, queue, options.priority.rawValue, lifecycle.state.rawValue,
            lifecycle.maxAttempts, lifecycle.dueAt.microseconds, publishAt, publishAt > 0 ? 1 : 0,
            now.microseconds,
            retry.firstDelay == usual.firstDelay ? nil : retry.firstDelay.microsecondsRoundedUp,
            retry.maxDelay == usual.maxDelay ? nil : retry.maxDelay.microsecondsRoundedUp,
            retry.jitter == usual.jitter ? nil : retry.jitter,
            options.timeout?.microsecondsRoundedUp, uniqueness?.stateBits,
            uniqueness.map { $0.states.contains(lifecycle.state) }, job.name, job.uniqueKey,
            job.uniqueKey.flatMap {
                uniqueness?.lockText(name: job.name, key: $0, enqueuedAt: now)
            },
            JobTags.encode(options.tags), job.arguments, job.limitKey,
            lifecycle.hold?.rawValue, job.batch?.number,
            TraceContext.encode(TraceContext.bounded(job.traceContext)),
        ])
    }

    /// Applies the rule for a job whose unique key is taken.
    private func resolve(
        _ job: NewJob, _ existing: JobID, _ result: inout EnqueueResult, at now: JobTime
    ) throws -> EnqueueReceipt {
        guard job.options.uniqueness.conflict == .replaceWaiting, let row = try row(existing),
            row.lifecycle.state != .running, !row.lifecycle.state.isFinal
        else { return EnqueueReceipt(existing, .existing) }
        let edit = JobEdit(
            arguments: job.arguments, priority: job.options.priority, tags: job.options.tags,
            dueAt: job.dueAt ?? now)
        let due = try change(existing, .edit(edit), at: now).lifecycle.dueAt
        // The change can make the existing job available, or can make another job available that
        // has waited for the existing job's slot of a limit. In both cases the relay must publish a
        // job.
        result.hasUnpublished = true
        result.earliestDue = min(result.earliestDue ?? due, due)
        return EnqueueReceipt(existing, .replaced)
    }
}
