import GRDB
import TallyBasics

extension JobTransaction {
    /// A queue and a priority with available jobs.
    struct AvailableTopic: Hashable {
        let queue: Int64
        let priority: JobPriority
    }

    func makeDueJobsAvailable(limit: Int, at now: JobTime) throws -> Int {
        let select = try database.cachedStatement(
            sql: """
                SELECT id FROM nsq_jobs_job WHERE state IN (0, 3) AND hold IS NULL AND due_at <= ?
                ORDER BY due_at, id LIMIT ?
                """)
        var count = 0
        for id in try Int64.fetchAll(select, arguments: [now.microseconds, limit]) {
            guard var row = try row(JobID(id)) else { continue }
            let old = row.lifecycle
            guard row.lifecycle.makeAvailable(at: now) else { continue }
            row.resetPublication()
            try write(row, from: old, at: now)
            count += 1
        }
        return count
    }

    /// The topics of queues that are not paused and have available jobs, by priority.
    func availableTopics() throws -> [AvailableTopic] {
        // The query then includes the changes of this transaction.
        try writeCounts()
        let select = try database.cachedStatement(
            sql: """
                SELECT queue_id FROM nsq_jobs_count WHERE state = 1 AND count > 0 ORDER BY queue_id
                """)
        let running = try Int64.fetchAll(select).filter { try !isPaused($0) }
        return JobPriority.allCases.flatMap { priority in
            running.map { AvailableTopic(queue: $0, priority: priority) }
        }
    }

    /// Does the work of a relay; see ``JobStore/sweep(limit:policy:at:)``.
    func sweep(
        limit: Int, policy: PublishPolicy, processes: ProcessLiveness, leaseNow: MonotonicInstant,
        at now: JobTime
    ) throws -> SweepResult {
        var result = SweepResult()
        try endLeases(ofEnded: processes, leaseNow: leaseNow, at: now)
        result.hasMore = try enqueueDueTicks(limit: limit, at: now)
        let made = try makeDueJobsAvailable(limit: limit, at: now)
        result.hasMore = result.hasMore || made == limit
        result.expiredLeases = try expireLeases(limit: limit, leaseNow: leaseNow, at: now)
        result.hasMore = result.hasMore || result.expiredLeases == limit
        result.hasMore = try settleDueLimits(limit: limit, at: now) || result.hasMore
        result.hasMore = try resolveRest(limit: limit, at: now) || result.hasMore
        try settleConsequences()
        try reserve(limit: limit, policy: policy, &result, at: now)
        let reader = JobReader(database: database)
        result.nextDue = try [reader.nextDueTime(), reader.nextTick(), reader.nextLimitWakeUp()]
            .compactMap { $0 }.min()
        return result
    }

    /// Selects available jobs to publish: those that were never published in their version, and those
    /// that no worker has claimed for a time. The jobs are not selected again before
    /// `policy.republishDelay`.
    private func reserve(
        limit: Int, policy: PublishPolicy, _ result: inout SweepResult, at now: JobTime
    ) throws {
        for topic in try availableTopics() {
            guard try hasUnpublished(topic, at: now) else { continue }
            let free = try policy.window - published(to: topic, window: policy.window, at: now)
            guard free > 0 else {
                result.isWindowFull = true
                continue
            }
            let found = try reserve(topic, limit: min(limit, free), policy, at: now)
            result.publications += found
            if found.count == free {
                result.isWindowFull = true
            } else if found.count == limit {
                result.hasMore = true
            }
        }
    }

    /// Returns whether a topic has a job that is to be published now.
    private func hasUnpublished(_ topic: AvailableTopic, at now: JobTime) throws -> Bool {
        let select = try database.cachedStatement(
            sql: """
                SELECT 1 FROM nsq_jobs_job
                WHERE state = 1 AND queue_id = ? AND priority = ? AND publish_at <= ? LIMIT 1
                """)
        return try Int.fetchOne(
            select, arguments: [topic.queue, topic.priority.rawValue, now.microseconds]) != nil
    }

    /// Returns how many jobs an enqueue may reserve: none while earlier jobs wait to be published,
    /// because the new jobs would overtake them.
    func freeReservations(
        _ topic: AvailableTopic, _ policy: PublishPolicy, at now: JobTime
    ) throws -> Int {
        guard try !isPaused(topic.queue), try !hasUnpublished(topic, at: now) else { return 0 }
        return try max(0, policy.window - published(to: topic, window: policy.window, at: now))
    }

    /// Counts the published jobs of a topic that no worker has claimed, up to the window.
    private func published(to topic: AvailableTopic, window: Int, at now: JobTime) throws -> Int {
        let select = try database.cachedStatement(
            sql: """
                SELECT count(*) FROM (
                    SELECT 1 FROM nsq_jobs_job
                    WHERE state = 1 AND queue_id = ? AND priority = ? AND publish_at > ? LIMIT ?)
                """)
        return try Int.fetchOne(
            select,
            arguments: [topic.queue, topic.priority.rawValue, now.microseconds, window]) ?? 0
    }

    private func reserve(
        _ topic: AvailableTopic, limit: Int, _ policy: PublishPolicy, at now: JobTime
    ) throws -> [ReservedJob] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, version, name, publish_count FROM nsq_jobs_job
                WHERE state = 1 AND queue_id = ? AND priority = ? AND publish_at <= ?
                ORDER BY publish_at, id LIMIT ?
                """)
        let name = JobTopic(queue: try queueName(topic.queue), priority: topic.priority)
        let rows = try Row.fetchAll(
            select,
            arguments: [topic.queue, topic.priority.rawValue, now.microseconds, limit])
        return try rows.map { row in
            let id: Int64 = row[0]
            // A number that another program has written must not cause an overflow.
            let count = min(max(row[3], 0), Int(Int32.max)) + 1
            let next = policy.nextPublish(afterPublish: count, at: now)
            try setPublishTime(next.microseconds, count: count, of: id)
            return ReservedJob(
                JobReference(id: JobID(id), version: row[1]), to: name, name: row[2])
        }
    }

    func setPublishTime(_ time: Int64, count: Int, of id: Int64) throws {
        let update = try statement(
            .reserve, "UPDATE nsq_jobs_job SET publish_at = ?, publish_count = ? WHERE id = ?")
        try update.execute(arguments: [time, count, id])
    }

    /// Cancels the reservations of jobs whose publish failed, so that a relay selects them again.
    func cancelReservations(_ references: [JobReference]) throws {
        let update = try statement(
            .unreserve,
            """
            UPDATE nsq_jobs_job SET publish_at = 0, publish_count = max(0, publish_count - 1)
            WHERE id = ? AND version = ? AND state = 1
            """)
        for reference in references {
            try update.execute(arguments: [reference.id.number, reference.version])
        }
    }
}
