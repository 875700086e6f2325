import GRDB
import TallyBasics

/// The starts of attempts, which ``JobLimit/Rate`` limits.
extension JobTransaction {
    /// Records that a job of a scope has started, if the limit of the scope has a rate.
    func recordStart(in scope: LimitScope, at now: JobTime) throws {
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
    func deleteOldStarts(limit: Int, at now: JobTime) throws -> Int {
        let delete = try database.cachedStatement(
            sql: """
                DELETE FROM nsq_jobs_start WHERE (queue_id, key, number) IN (
                    SELECT queue_id, key, number FROM nsq_jobs_start WHERE ends_at <= ? LIMIT ?)
                """)
        try delete.execute(arguments: [now.microseconds, limit])
        return database.changesCount
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
        // The wall clock was set back. Starts with a later time count as starts of now.
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
}
