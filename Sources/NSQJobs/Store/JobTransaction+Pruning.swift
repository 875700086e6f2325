import GRDB
import TallyBasics

extension JobTransaction {
    /// The final jobs of one queue in one state.
    private struct FinalJobs {
        let queue: Int64
        let state: Int
        let count: Int
    }

    /// A final job, as far as pruning reads it.
    private struct FinalJob {
        let id: Int64
        let finishedAt: Int64
    }

    /// Deletes final jobs in portions; see ``JobStore/prune(_:from:limit:at:)``.
    func prune(
        _ rule: PruneRule, from position: PruneProgress.Position?, limit: Int, at now: JobTime
    ) throws -> PruneProgress {
        var progress = PruneProgress()
        guard rule.olderThan != nil || rule.keepingAtMost != nil else { return progress }
        if position == nil, let age = rule.olderThan {
            try deleteBatches(endedBefore: now - age, limit: limit)
        }
        var rest = limit
        for list in try finalJobs(rule, from: position) {
            let isContinued = position?.queue == list.queue && position?.state == list.state
            let start = isContinued ? position?.id ?? 0 : 0
            let jobs = try finalJobs(of: list, from: start, limit: rest)
            progress.deleted += try delete(jobs, of: list, rule, at: now)
            rest -= jobs.count
            if rest == 0 {
                progress.next = .init(
                    queue: list.queue, state: list.state,
                    id: (jobs.last?.id ?? start).addingSaturated(1))
                break
            }
        }
        return progress
    }

    private func finalJobs(
        _ rule: PruneRule, from position: PruneProgress.Position?
    ) throws -> [FinalJobs] {
        let select = try database.cachedStatement(
            sql: """
                SELECT queue_id, state, count FROM nsq_jobs_count
                WHERE state >= 4 AND count > 0 AND (queue_id, state) >= (?, ?)
                ORDER BY queue_id, state
                """)
        let rows = try Row.fetchAll(
            select, arguments: [position?.queue ?? 0, position?.state ?? 0])
        let states = rule.states.filter(\.isFinal)
        return rows.map { FinalJobs(queue: $0[0], state: $0[1], count: $0[2]) }
            .filter { list in states.contains { $0.rawValue == list.state } }
    }

    private func finalJobs(of list: FinalJobs, from start: Int64, limit: Int) throws -> [FinalJob] {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, finished_at FROM nsq_jobs_job
                WHERE queue_id = ? AND state = ? AND state <> 2 AND id >= ? ORDER BY id LIMIT ?
                """)
        return try Row.fetchAll(select, arguments: [list.queue, list.state, start, limit])
            .map { FinalJob(id: $0[0], finishedAt: $0[1] ?? 0) }
    }

    /// Deletes those of the jobs that the rule selects.
    ///
    /// - Returns: the number of deleted jobs.
    private func delete(
        _ jobs: [FinalJob], of list: FinalJobs, _ rule: PruneRule, at now: JobTime
    ) throws -> Int {
        var excess = rule.keepingAtMost.map { max(0, list.count - max(0, $0)) } ?? 0
        let end = rule.olderThan.map { now.microseconds - $0.microsecondsRoundedUp }
        let deleteJob = try database.cachedStatement(sql: "DELETE FROM nsq_jobs_job WHERE id = ?")
        let deleteAttempts = try database.cachedStatement(
            sql: "DELETE FROM nsq_jobs_attempt WHERE job_id = ?")
        var deleted = 0
        for job in jobs where excess > 0 || end.map({ job.finishedAt < $0 }) ?? false {
            guard try !hasDependents(JobID(job.id)) else { continue }
            try deleteJob.execute(arguments: [job.id])
            try deleteAttempts.execute(arguments: [job.id])
            try deleteSteps(of: JobID(job.id))
            excess -= 1
            deleted += 1
        }
        count(-deleted, queue: list.queue, JobState(rawValue: list.state) ?? .completed)
        return deleted
    }
}
