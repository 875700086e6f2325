import GRDB
import TallyBasics

extension JobTransaction {
    /// The maximum number of slots of one scope that a change gives to waiting jobs.
    private static let maxSettled = 1_000

    // MARK: Claims and transitions

    /// Checks the limits for an available job that a worker claims. If a limit is reached, the job
    /// waits.
    ///
    /// - Parameters:
    ///   - row: the job after the claim.
    ///   - old: the job before the claim.
    /// - Returns: the decision. If the job must wait, the method has already written that.
    func limitDecision(
        _ row: JobRow, _ old: JobLifecycle, at now: JobTime
    ) throws -> LimitDecision {
        guard old.hold != .admitted, try limits(ofQueue: row.queue) != nil else { return .start }
        let decision = try decision(queue: row.queue, key: row.limitKey, at: now)
        guard case .wait(let scope, let until) = decision else { return .start }
        var row = row
        row.lifecycle = old
        guard row.lifecycle.waitForLimit(scope.hold, until: until) else { return .start }
        row.resetPublication()
        try write(row, from: old, at: now)
        return decision
    }

    /// Records the consequences of a transition for the limits of the job's queue and key.
    func recordLimits(of row: JobRow, from old: JobLifecycle, at now: JobTime) throws {
        let new = row.lifecycle
        // A queue without limits needs none of the work below.
        guard try limits(ofQueue: row.queue) != nil || old.hold != nil || new.hold != nil else {
            return
        }
        for scope in LimitScope.all(queue: row.queue, key: row.limitKey) {
            let (before, after) = (old.slot(in: scope), new.slot(in: scope))
            if before != after { limits.uses[scope]?.change(from: before, to: after) }
            let isStart = after == .running && before != .running
            if isStart { try recordStart(in: scope, at: now) }
            let isWaiting = new.hold == scope.hold && old.hold != scope.hold
            if isStart || isWaiting || (before != .none && after == .none) {
                limits.mustSettle(scope, at: now)
            }
        }
    }

    /// Gives free slots to waiting jobs.
    func settleLimits() throws {
        while let scope = limits.nextUnsettled() {
            try settle(scope, limit: Self.maxSettled, at: limits.now)
        }
    }

    // MARK: Limits of queues

    /// Returns the limits of a queue; `nil` if it has none.
    func limits(ofQueue queue: Int64) throws -> UnsettledLimits.QueueLimits? {
        if limits.hasNoLimits { return nil }
        if let queues = limits.queues { return queues[queue] }
        var queues: [Int64: UnsettledLimits.QueueLimits] = [:]
        for stored in try JobReader(database: database).limits() {
            if stored.isPerKey {
                queues[stored.queue, default: .init()].perKey = stored.limit
            } else {
                queues[stored.queue, default: .init()].whole = stored.limit
            }
        }
        limits.queues = queues
        limits.hasNoLimits = queues.isEmpty
        return queues[queue]
    }

    /// Stores a limit, or deletes it, and makes the relay check all waiting jobs of the queue.
    func setLimit(_ limit: JobLimit?, ofQueue name: String, isPerKey: Bool) throws {
        let queue = try queueNumber(name)
        if let limit, limit != JobLimit() {
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO nsq_jobs_limit
                        (queue_id, is_per_key, max_running, max_starts, window)
                    VALUES (?, ?, ?, ?, ?)
                    """,
                arguments: [
                    queue, isPerKey, limit.maxRunning, limit.rate?.starts,
                    limit.rate?.window.microsecondsRoundedUp,
                ])
        } else {
            try database.execute(
                sql: "DELETE FROM nsq_jobs_limit WHERE queue_id = ? AND is_per_key = ?",
                arguments: [queue, isPerKey])
        }
        try database.execute(
            sql: "INSERT OR REPLACE INTO nsq_jobs_limit_check VALUES (?, 0, 0, 0)",
            arguments: [queue])
        limits = UnsettledLimits()
    }

    // MARK: Work of the relay

    /// Gives free slots to waiting jobs. It checks the scopes in which a slot has become free by the
    /// passing of time, and the scopes of queues whose limits were changed.
    ///
    /// - Parameter limit: the maximum number of scopes, and of waiting jobs.
    /// - Returns: `true` if there can be more.
    @discardableResult
    func settleDueLimits(limit: Int, at now: JobTime) throws -> Bool {
        let select = try database.cachedStatement(
            sql: """
                SELECT queue_id, key FROM nsq_jobs_limit_wake_up WHERE wake_at <= ?
                ORDER BY wake_at LIMIT ?
                """)
        let due = try Row.fetchAll(select, arguments: [now.microseconds, limit])
        for row in due {
            let key: String = row[1]
            limits.mustSettle(LimitScope(queue: row[0], key: key.isEmpty ? nil : key), at: now)
        }
        var hasMore = due.count == limit
        for check in try JobReader(database: database).limitChecks() {
            hasMore = try recheck(check, limit: limit, at: now) || hasMore
        }
        if try deleteOldStarts(limit: limit, at: now) == limit { hasMore = true }
        try settleLimits()
        return hasMore
    }

    /// Selects the scopes of a queue's waiting jobs, from the position of `check` on, for
    /// ``settleLimits()``.
    ///
    /// - Returns: `true` if there can be more.
    private func recheck(
        _ check: JobReader.LimitCheck, limit: Int, at now: JobTime
    ) throws -> Bool {
        let select = try database.cachedStatement(
            sql: """
                SELECT hold, priority, id, limit_key FROM nsq_jobs_job
                WHERE queue_id = ? AND hold IS NOT NULL AND hold <= 2
                    AND (hold, priority, id) > (?, ?, ?)
                ORDER BY hold, priority, id LIMIT ?
                """)
        let rows = try Row.fetchAll(
            select, arguments: [check.queue, check.hold, check.priority, check.id, limit])
        for row in rows {
            let isForKey = row[0] == JobLifecycle.Hold.keyLimit.rawValue
            limits.mustSettle(
                LimitScope(queue: check.queue, key: isForKey ? row[3] : nil), at: now)
        }
        guard rows.count == limit, let last = rows.last else {
            try database.execute(
                sql: "DELETE FROM nsq_jobs_limit_check WHERE queue_id = ?",
                arguments: [check.queue])
            return false
        }
        try database.execute(
            sql: "INSERT OR REPLACE INTO nsq_jobs_limit_check VALUES (?, ?, ?, ?)",
            arguments: [check.queue, last[0] as Int, last[1] as Int, last[2] as Int64])
        return true
    }
}
