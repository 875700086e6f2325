import Foundation
import GRDB
import TallyBasics

extension JobTransaction {
    /// Creates a batch.
    ///
    /// - Parameter callback: the job that is enqueued when the batch ends; `nil` for none.
    func createBatch(then callback: NewJob?, at now: JobTime) throws -> JobBatchID {
        let id = try reserveIDs(1)
        let template = try callback.map {
            String(decoding: try JobCoding.encoder.encode(JobTemplate($0)), as: UTF8.self)
        }
        try database.execute(
            sql: """
                INSERT INTO nsq_jobs_batch (id, is_open, callback, created_at) VALUES (?, 1, ?, ?)
                """,
            arguments: [id, template, now.microseconds])
        return JobBatchID(id)
    }

    /// Closes a batch, which then ends when all of its jobs have ended.
    ///
    /// - Throws: ``JobsError/Code/unknownBatch``.
    func closeBatch(_ id: JobBatchID, at now: JobTime) throws {
        try database.execute(
            sql: "UPDATE nsq_jobs_batch SET is_open = 0 WHERE id = ?", arguments: [id.number])
        guard database.changesCount > 0 else { throw JobsError.unknownBatch(id) }
        ends.batchClosed(id, at: now)
    }

    /// Adds a new job to a batch.
    ///
    /// - Throws: ``JobsError/Code/unknownBatch``, ``JobsError/Code/batchEnded``.
    func addToBatch(_ id: JobBatchID, at now: JobTime) throws {
        if !ends.known.contains(id) {
            guard let batch = try JobReader(database: database).batch(id) else {
                throw JobsError.unknownBatch(id)
            }
            guard batch.endedAt == nil else {
                throw JobsError(.batchEnded, "batch \(id) has ended, so no job can be added")
            }
            ends.known.insert(id)
        }
        ends.change(id, at: now) { $0.total += 1 }
    }

    /// Writes the changed numbers of batches, and enqueues the callbacks of the batches that have
    /// ended.
    func settleBatches() throws {
        let changes = ends.removeBatches()
        guard !changes.isEmpty else { return }
        let update = try database.cachedStatement(
            sql: """
                UPDATE nsq_jobs_batch SET total = total + ?, completed = completed + ?,
                    discarded = discarded + ?, cancelled = cancelled + ?
                WHERE id = ?
                """)
        for (id, change) in changes.sorted(by: { $0.key.number < $1.key.number }) {
            try update.execute(arguments: [
                change.total, change.completed, change.discarded, change.cancelled, id.number,
            ])
            try endBatch(id, at: ends.now)
        }
    }

    private func endBatch(_ id: JobBatchID, at now: JobTime) throws {
        guard let batch = try JobReader(database: database).batch(id), !batch.isOpen,
            batch.pending == 0, batch.endedAt == nil
        else { return }
        ends.known.remove(id)
        let callback = try callback(of: id)
        // The end of the batch is written before the callback is enqueued: the callback can end in
        // the same transaction, and must then find an ended batch.
        try database.execute(
            sql: "UPDATE nsq_jobs_batch SET ended_at = ? WHERE id = ?",
            arguments: [now.microseconds, id.number])
        guard let callback else { return }
        let receipt = try enqueue([callback], publishing: nil, at: now).receipts[0]
        hasNewlyAvailable = true
        try database.execute(
            sql: "UPDATE nsq_jobs_batch SET callback_id = ? WHERE id = ?",
            arguments: [receipt.id.number, id.number])
    }

    private func callback(of id: JobBatchID) throws -> NewJob? {
        let select = try database.cachedStatement(
            sql: "SELECT callback FROM nsq_jobs_batch WHERE id = ?")
        guard let text = try String.fetchOne(select, arguments: [id.number]) else { return nil }
        // A callback that cannot be decoded, because another program has changed it, is ignored.
        let template = try? JobCoding.decoder.decode(JobTemplate.self, from: Data(text.utf8))
        return template?.job(dueAt: nil)
    }

    /// Deletes batches that have ended before a time, and whose callbacks have ended.
    func deleteBatches(endedBefore end: JobTime, limit: Int) throws {
        let delete = try database.cachedStatement(
            sql: """
                DELETE FROM nsq_jobs_batch WHERE id IN (
                    SELECT id FROM nsq_jobs_batch AS batch
                    WHERE ended_at < ? AND NOT EXISTS (
                        SELECT 1 FROM nsq_jobs_job
                        WHERE id = batch.callback_id AND state < 4)
                    ORDER BY ended_at LIMIT ?)
                """)
        try delete.execute(arguments: [end.microseconds, limit])
    }
}

extension JobReader {
    func batch(_ id: JobBatchID) throws -> JobBatch? {
        try batch("WHERE id = ?", [id.number])
    }

    /// Returns the batch whose callback is the job `id`.
    func batch(ofCallback id: JobID) throws -> JobBatch? {
        try batch("WHERE callback_id = ?", [id.number])
    }

    private func batch(_ condition: String, _ arguments: StatementArguments) throws -> JobBatch? {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, is_open, total, completed, discarded, cancelled, callback_id, created_at,
                    ended_at
                FROM nsq_jobs_batch \(condition)
                """)
        guard let row = try Row.fetchOne(select, arguments: arguments) else { return nil }
        // Numbers that another program has written must not cause an overflow.
        func number(_ index: Int) -> Int { min(max(row[index] as Int, 0), 1 << 60) }
        return JobBatch(
            id: JobBatchID(row[0] as Int64), isOpen: row[1], total: number(2), completed: number(3),
            discarded: number(4), cancelled: number(5),
            callback: (row[6] as Int64?).map { JobID($0) }, createdAt: JobTime(row[7] as Int64),
            endedAt: (row[8] as Int64?).map { JobTime($0) })
    }
}

extension JobsError {
    /// Creates an error with the code ``Code/unknownBatch``.
    static func unknownBatch(_ id: JobBatchID) -> Self {
        Self(.unknownBatch, "unknown batch '\(id)'")
    }
}
