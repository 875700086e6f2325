import GRDB

extension JobTransaction {
    /// Stores a discarded fleeting job.
    func insertDiscarded(_ job: NewJob, note: String, at now: JobTime) throws {
        var job = job
        // A later due time keeps the job from being published within this transaction.
        job.dueAt = now + .seconds(1)
        let id = try enqueue([job], publishing: nil, at: now).receipts[0].id
        guard var row = try row(id) else { throw JobsError.unknownJob(id) }
        let before = row.lifecycle
        try row.lifecycle.discard(at: now)
        row.note = note
        try write(row, from: before, at: now)
        try settleConsequences()
    }
}
