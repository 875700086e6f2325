import GRDB
import TallyBasics

extension JobTransaction {
    /// Deletes the oldest final jobs that a rule selects, and batches that ended before the rule's
    /// age limit.
    ///
    /// - Parameter limit: the maximum number of jobs.
    /// - Returns: the number of deleted jobs; less than `limit` if there are no more.
    func prune(_ rule: PruneRule, limit: Int, at now: JobTime) throws -> Int {
        var deleted = 0
        for state in rule.states.filter(\.isFinal).sorted(by: { $0.rawValue < $1.rawValue }) {
            if let age = rule.olderThan {
                let jobs = try finalJobs(state, endedBefore: now - age, limit: limit - deleted)
                deleted += try delete(jobs, state)
            }
            guard let most = rule.keepingAtMost else { continue }
            for (queue, count) in try countsOfQueues(in: state) where count > max(0, most) {
                let excess = min(count - max(0, most), limit - deleted)
                deleted += try delete(try finalJobs(state, ofQueue: queue, limit: excess), state)
            }
        }
        if let age = rule.olderThan {
            try deleteBatches(endedBefore: now - age, limit: limit)
        }
        return deleted
    }

    private struct FinalJob {
        let id: Int64
        let queue: Int64
    }

    /// The SQL condition for a job that no other job waits for.
    private static let isUnneeded = """
        NOT EXISTS (SELECT 1 FROM nsq_jobs_dependency WHERE dependency_id = nsq_jobs_job.id)
        """

    private func finalJobs(
        _ state: JobState, endedBefore end: JobTime, limit: Int
    ) throws -> [FinalJob] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, queue_id FROM nsq_jobs_job
                WHERE state = ? AND state >= 4 AND finished_at < ? AND \(Self.isUnneeded)
                ORDER BY finished_at LIMIT ?
                """)
        return try Row.fetchAll(select, arguments: [state.rawValue, end.microseconds, limit])
            .map { FinalJob(id: $0[0], queue: $0[1]) }
    }

    private func finalJobs(
        _ state: JobState, ofQueue queue: Int64, limit: Int
    ) throws -> [FinalJob] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, queue_id FROM nsq_jobs_job
                WHERE queue_id = ? AND state = ? AND state <> 2 AND \(Self.isUnneeded)
                ORDER BY id LIMIT ?
                """)
        return try Row.fetchAll(select, arguments: [queue, state.rawValue, limit])
            .map { FinalJob(id: $0[0], queue: $0[1]) }
    }

    /// The number of jobs in a state, for each queue that has such jobs.
    private func countsOfQueues(in state: JobState) throws -> [(queue: Int64, count: Int)] {
        // The query then includes the deletions of this transaction.
        try writeCounts()
        let select = try database.cachedStatement(
            sql: """
                SELECT queue_id, count FROM nsq_jobs_count WHERE state = ? AND count > 0
                ORDER BY queue_id
                """)
        return try Row.fetchAll(select, arguments: [state.rawValue]).map { ($0[0], $0[1]) }
    }

    /// Deletes jobs, their attempts and their steps.
    ///
    /// - Returns: their number.
    private func delete(_ jobs: [FinalJob], _ state: JobState) throws -> Int {
        let deleteJob = try database.cachedStatement(sql: "DELETE FROM nsq_jobs_job WHERE id = ?")
        let deleteAttempts = try database.cachedStatement(
            sql: "DELETE FROM nsq_jobs_attempt WHERE job_id = ?")
        for job in jobs {
            try deleteJob.execute(arguments: [job.id])
            try deleteAttempts.execute(arguments: [job.id])
            try deleteSteps(of: JobID(job.id))
            count(-1, queue: job.queue, state)
        }
        return jobs.count
    }
}
