import GRDB
import TallyBasics

extension JobTransaction {
    /// The maximum number of slots of one scope that a change gives to waiting jobs.
    private static let maxSettled = 1_000

    // MARK: Claims and transitions

    /// Lets an available job that a worker claims wait, if a limit demands it.
    ///
    /// - Parameters:
    ///   - row: the job after the claim.
    ///   - old: the job before it.
    /// - Returns: the decision, which is carried out if it is not to start.
    func limitDecision(
        _ row: JobRow, _ old: JobLifecycle, at now: JobTime
    ) throws -> LimitDecision {
        guard old.hold != .admitted, try limits(ofQueue: row.queue) != nil else { return .start }
        let decision = try decision(queue: row.queue, key: row.limitKey, at: now)
        guard case .wait(let scope, let until) = decision else { return .start }
        var row = row
        row.lifecycle = old
        guard row.lifecycle.wait(for: scope.hold, until: until) else { return .start }
        row.resetPublication()
        try write(row, from: old, at: now)
        return decision
    }

    /// Records what a transition means for the limits of the job's queue.
    func recordLimits(of row: JobRow, from old: JobLifecycle, at now: JobTime) throws {
        let new = row.lifecycle
        // Costs nothing for a queue without limits.
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

    /// Gives the slots that have become free to waiting jobs.
    func settleLimits() throws {
        while let scope = limits.nextUnsettled() {
            try settle(scope, limit: Self.maxSettled, at: limits.now)
        }
    }

    // MARK: Limits of queues

    /// Returns the limits of a queue; `nil` if it has none.
    func limits(ofQueue queue: Int64) throws -> LimitMemory.QueueLimits? {
        if limits.areNone { return nil }
        if let queues = limits.queues { return queues[queue] }
        var queues: [Int64: LimitMemory.QueueLimits] = [:]
        for stored in try JobReader(database: database).limits() {
            if stored.isPerKey {
                queues[stored.queue, default: .init()].perKey = stored.limit
            } else {
                queues[stored.queue, default: .init()].whole = stored.limit
            }
        }
        limits.queues = queues
        limits.areNone = queues.isEmpty
        return queues[queue]
    }

    /// Stores a limit, or deletes it, and lets the relay check all waiting jobs of the queue.
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
        limits = LimitMemory()
    }

    // MARK: Work of the relay

    /// Settles the scopes in which a slot is free by now, and those of jobs that wait for a limit that was
    /// changed.
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

    /// Settles the scopes of waiting jobs of a queue, from a position.
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

    // MARK: Starts

    private func recordStart(in scope: LimitScope, at now: JobTime) throws {
        guard let rate = try limit(of: scope)?.rate else { return }
        let latest = try latestStart(in: scope) ?? 0
        let insert = try database.cachedStatement(
            sql: "INSERT OR REPLACE INTO nsq_jobs_start VALUES (?, ?, ?, ?, ?)")
        try insert.execute(arguments: [
            scope.queue, scope.key ?? "", latest.addingSaturated(1), now.microseconds,
            (now + rate.window).microseconds,
        ])
    }

    /// The number of the latest start in a scope; `nil` if there is none.
    private func latestStart(in scope: LimitScope) throws -> Int64? {
        let select = try database.cachedStatement(
            sql: """
                SELECT number FROM nsq_jobs_start WHERE queue_id = ? AND key = ?
                ORDER BY number DESC LIMIT 1
                """)
        return try Int64.fetchOne(select, arguments: [scope.queue, scope.key ?? ""])
    }

    /// Deletes starts that no rate counts any more.
    private func deleteOldStarts(limit: Int, at now: JobTime) throws -> Int {
        let delete = try database.cachedStatement(
            sql: """
                DELETE FROM nsq_jobs_start WHERE (queue_id, key, number) IN (
                    SELECT queue_id, key, number FROM nsq_jobs_start WHERE ends_at <= ? LIMIT ?)
                """)
        try delete.execute(arguments: [now.microseconds, limit])
        return database.changesCount
    }
}

// MARK: - What the rules read and change

extension JobTransaction: LimitedJobs {
    func limit(of scope: LimitScope) throws -> JobLimit? {
        let limits = try limits(ofQueue: scope.queue)
        return scope.key == nil ? limits?.whole : limits?.perKey
    }

    func use(of scope: LimitScope) throws -> LimitUse {
        if let use = limits.uses[scope] { return use }
        let use = try LimitUse(running: running(in: scope), reserved: reserved(in: scope))
        limits.uses[scope] = use
        return use
    }

    private func running(in scope: LimitScope) throws -> Int {
        guard let key = scope.key else { return try count(queue: scope.queue, .running) }
        let select = try database.cachedStatement(
            sql: """
                SELECT count(*) FROM nsq_jobs_job
                WHERE queue_id = ? AND limit_key = ? AND state = 2
                """)
        return try Int.fetchOne(select, arguments: [scope.queue, key]) ?? 0
    }

    private func reserved(in scope: LimitScope) throws -> Int {
        guard let key = scope.key else {
            let select = try database.cachedStatement(
                sql: "SELECT count(*) FROM nsq_jobs_job WHERE queue_id = ? AND hold = 3")
            return try Int.fetchOne(select, arguments: [scope.queue]) ?? 0
        }
        let select = try database.cachedStatement(
            sql: """
                SELECT count(*) FROM nsq_jobs_job
                WHERE queue_id = ? AND limit_key = ? AND hold IN (2, 3)
                """)
        return try Int.fetchOne(select, arguments: [scope.queue, key]) ?? 0
    }

    func start(ofRank rank: Int, in scope: LimitScope, at now: JobTime) throws -> JobTime? {
        guard let latest = try latestStart(in: scope) else { return nil }
        let number = latest.subtractingSaturated(Int64(rank - 1))
        let select = try database.cachedStatement(
            sql: "SELECT at FROM nsq_jobs_start WHERE queue_id = ? AND key = ? AND number = ?")
        let arguments: StatementArguments = [scope.queue, scope.key ?? "", number]
        guard let start = try Int64.fetchOne(select, arguments: arguments) else { return nil }
        guard start > now.microseconds else { return JobTime(start) }
        let window = try limit(of: scope)?.rate?.window ?? .zero
        // The wall clock was set back. The starts of before it count from now.
        try database.execute(
            sql: """
                UPDATE nsq_jobs_start SET at = ?, ends_at = ?
                WHERE queue_id = ? AND key = ? AND at > ?
                """,
            arguments: [
                now.microseconds, (now + window).microseconds, scope.queue, scope.key ?? "",
                now.microseconds,
            ])
        return now
    }

    func firstWaiting(in scope: LimitScope) throws -> JobID? {
        let order = "ORDER BY priority, id LIMIT 1"
        guard let key = scope.key else {
            let select = try database.cachedStatement(
                sql: "SELECT id FROM nsq_jobs_job WHERE queue_id = ? AND hold = 2 \(order)")
            return try Int64.fetchOne(select, arguments: [scope.queue]).map { JobID($0) }
        }
        let select = try database.cachedStatement(
            sql: """
                SELECT id FROM nsq_jobs_job WHERE queue_id = ? AND limit_key = ? AND hold = 1 \(order)
                """)
        return try Int64.fetchOne(select, arguments: [scope.queue, key]).map { JobID($0) }
    }

    func admit(_ id: JobID, at now: JobTime) throws {
        try changeWaiting(id, at: now) { $0.admit(at: now) }
        hasNewlyAvailable = true
    }

    func waitForQueue(_ id: JobID, at now: JobTime) throws {
        try changeWaiting(id, at: now) { $0.wait(for: .queueLimit) }
    }

    private func changeWaiting(
        _ id: JobID, at now: JobTime, _ change: (inout JobLifecycle) -> Bool
    ) throws {
        guard var row = try row(id) else { return }
        let old = row.lifecycle
        guard change(&row.lifecycle) else {
            // Somebody has changed the state in the database, and not the column `hold`.
            let update = try database.cachedStatement(
                sql: "UPDATE nsq_jobs_job SET hold = NULL WHERE id = ?")
            return try update.execute(arguments: [id.number])
        }
        row.resetPublication()
        try write(row, from: old, at: now)
    }

    func setWakeUp(_ time: JobTime?, of scope: LimitScope) throws {
        guard let time else {
            let delete = try database.cachedStatement(
                sql: "DELETE FROM nsq_jobs_limit_wake_up WHERE queue_id = ? AND key = ?")
            return try delete.execute(arguments: [scope.queue, scope.key ?? ""])
        }
        let insert = try database.cachedStatement(
            sql: "INSERT OR REPLACE INTO nsq_jobs_limit_wake_up VALUES (?, ?, ?)")
        try insert.execute(arguments: [scope.queue, scope.key ?? "", time.microseconds])
    }
}

extension JobReader {
    /// A limit in its row.
    struct StoredLimit {
        let queue: Int64
        let isPerKey: Bool
        let limit: JobLimit
    }

    /// How far the check of the waiting jobs of a queue has come.
    struct LimitCheck {
        let queue: Int64
        let hold: Int
        let priority: Int
        let id: Int64
    }

    func limits() throws -> [StoredLimit] {
        let select = try database.cachedStatement(
            sql: """
                SELECT queue_id, is_per_key, max_running, max_starts, window FROM nsq_jobs_limit
                """)
        return try Row.fetchAll(select).map { row in
            // Numbers that the store has not written become the nearest ones that are allowed.
            func number(_ index: Int) -> Int? {
                (row[index] as Int?).map { min(max($0, 1), JobLimit.maxCount) }
            }
            var limit = JobLimit(maxRunning: number(2))
            if let starts = number(3), let window = row[4] as Int64? {
                limit.rate = .init(starts, per: .microseconds(max(1, window)))
            }
            return StoredLimit(queue: row[0], isPerKey: row[1], limit: limit)
        }
    }

    func limitChecks() throws -> [LimitCheck] {
        let select = try database.cachedStatement(
            sql: "SELECT queue_id, hold, priority, job_id FROM nsq_jobs_limit_check")
        return try Row.fetchAll(select).map {
            LimitCheck(queue: $0[0], hold: $0[1], priority: $0[2], id: $0[3])
        }
    }

    /// The earliest time at which a slot of a limit is free for a waiting job.
    func nextLimitWakeUp() throws -> JobTime? {
        let select = try database.cachedStatement(
            sql: "SELECT wake_at FROM nsq_jobs_limit_wake_up ORDER BY wake_at LIMIT 1")
        return try Int64.fetchOne(select).map { JobTime($0) }
    }
}
