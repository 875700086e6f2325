import GRDB

extension JobTransaction {
    /// The number of actions that are kept.
    private static let maxActions: Int64 = 1_000

    func record(_ action: NewJobAction, at now: JobTime) throws {
        try database.execute(
            sql: """
                INSERT INTO nsq_jobs_action (at, action, target, changed, unchanged, error)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                now.microseconds, action.action, action.target, action.changed, action.unchanged,
                action.error,
            ])
        try database.execute(
            sql: "DELETE FROM nsq_jobs_action WHERE id <= ?",
            arguments: [database.lastInsertedRowID - Self.maxActions])
    }
}
