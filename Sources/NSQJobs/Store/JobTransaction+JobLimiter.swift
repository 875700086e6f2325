import GRDB
import TallyBasics

/// The data that the rules of limits read and change.
extension JobTransaction: JobLimiter {
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
        try changeWaiting(id, at: now) { $0.waitForLimit(.queueLimit) }
    }

    private func changeWaiting(
        _ id: JobID, at now: JobTime, _ change: (inout JobLifecycle) -> Bool
    ) throws {
        guard var row = try row(id) else { return }
        let old = row.lifecycle
        guard change(&row.lifecycle) else {
            // Another program has changed the column `state`, but not the column `hold`.
            count(-1, queue: row.queue, .waitingForLimit)
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
