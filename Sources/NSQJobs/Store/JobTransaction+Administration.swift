import GRDB

extension JobTransaction {
    /// Changes one job.
    ///
    /// - Throws: ``JobsError/Code/unknownJob``, ``JobsError/Code/invalidTransition``.
    func change(_ id: JobID, _ change: JobChange, at now: JobTime) throws -> JobRow {
        guard var row = try row(id) else { throw JobsError.unknownJob(id) }
        let old = row.lifecycle
        switch change {
        case .cancel:
            if try row.lifecycle.cancel(at: now) == .requested {
                try write(row, from: old, at: now)
                return row
            }
            row.note = "cancelled by request"
        case .discard:
            try row.lifecycle.discard(at: now)
            row.note = "discarded by request"
        case .retry:
            try row.lifecycle.retry(at: now)
            if old.state == .completed { try deleteSteps(of: id) }
        case .edit(let edit):
            try row.lifecycle.edit(dueAt: edit.dueAt, maxAttempts: edit.maxAttempts, at: now)
        }
        row.resetPublication()
        try write(row, from: old, at: now)
        if case .edit(let edit) = change { try write(edit, to: row) }
        return row
    }

    private func write(_ edit: JobEdit, to row: JobRow) throws {
        let queue = try edit.queue.map { try queueNumber($0) } ?? row.queue
        if queue != row.queue {
            count(-1, queue: row.queue, row.lifecycle.state)
            count(1, queue: queue, row.lifecycle.state)
        }
        let update = try database.cachedStatement(
            sql: """
                UPDATE nsq_jobs_job SET queue_id = ?, priority = ?, arguments = ifnull(?, arguments),
                    tags = CASE WHEN ? THEN ? ELSE tags END
                WHERE id = ?
                """)
        try update.execute(arguments: [
            queue, (edit.priority ?? row.priority).rawValue, edit.arguments, edit.tags != nil,
            edit.tags.flatMap { JobTags.encode($0) }, row.id,
        ])
    }
}
