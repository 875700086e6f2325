import GRDB
import TallyBasics

extension JobTransaction {
    /// The maximum number of workers whose processes one sweep checks.
    private static let maxCheckedWorkers = 32

    /// A worker that has not stopped, and its process.
    private struct RunningWorker {
        let number: Int64
        let process: String
        /// The time for which child processes of the worker can outlive the worker's process.
        let grace: Duration

        init(_ row: Row) {
            number = row[0]
            process = row[1]
            grace = .microseconds(max(0, row[2] as Int64))
        }
    }

    /// Ends the leases of the workers whose processes have ended. The workers that have not reported
    /// for the longest time are checked first. Processes of other namespaces cannot be checked.
    func endLeases(
        ofEnded processes: ProcessLiveness, leaseNow: MonotonicInstant, at now: JobTime
    ) throws {
        guard let own = processes.own() else { return }
        let select = try database.cachedStatement(
            sql: """
                SELECT id, process, process_grace FROM nsq_jobs_worker
                WHERE process_namespaces = ? AND process IS NOT NULL AND stopped_at IS NULL
                ORDER BY seen_at LIMIT ?
                """)
        let workers = try Row.fetchAll(
            select, arguments: [ProcessLiveness.namespaces(of: own), Self.maxCheckedWorkers])
        for worker in workers.map({ RunningWorker($0) }) where processes.hasEnded(worker.process) {
            try endLeases(of: worker, leaseNow: leaseNow, at: now)
        }
    }

    /// Claims jobs that other workers hold, if the processes of these workers have ended.
    ///
    /// When the connection of a worker breaks, nsqd redelivers the messages that the worker has kept in
    /// flight. A redelivery alone does not end a lease, because the worker's process may still perform
    /// its jobs and renew their leases.
    ///
    /// - Returns: the results of the claims, with ``ClaimResult/held`` for the jobs that others hold.
    func takeOver(
        _ references: [JobReference], _ results: [ClaimResult], from processes: ProcessLiveness,
        worker: Int64, lease: (now: MonotonicInstant, end: MonotonicInstant), at now: JobTime
    ) throws -> [ClaimResult] {
        var results = results
        for (index, reference) in references.enumerated() {
            guard case .stale = results[index], let row = try row(reference.id),
                row.lifecycle.state == .running
            else { continue }
            results[index] = .held
            guard let holder = try runningWorker(row.worker), processes.hasEnded(holder.process)
            else { continue }
            try endLeases(of: holder, leaseNow: lease.now, at: now)
            if try expireLeases(limit: Relay.sweepLimit, leaseNow: lease.now, at: now) > 0 {
                hasNewlyAvailable = true
            }
            try settleConsequences()
            guard let freed = try self.row(reference.id), freed.lifecycle.state != .running else {
                continue
            }
            let version = JobReference(id: reference.id, version: freed.lifecycle.version)
            results[index] = try claim([version], worker: worker, leaseEnd: lease.end, at: now)[0]
        }
        return results
    }

    private func runningWorker(_ number: Int64?) throws -> RunningWorker? {
        let select = try database.cachedStatement(
            sql: """
                SELECT id, process, process_grace FROM nsq_jobs_worker
                WHERE id = ? AND process IS NOT NULL AND stopped_at IS NULL
                """)
        return try Row.fetchOne(select, arguments: [number]).map { RunningWorker($0) }
    }

    /// Ends the leases of a worker whose process has ended, after its grace period.
    private func endLeases(
        of worker: RunningWorker, leaseNow: MonotonicInstant, at now: JobTime
    ) throws {
        let select = try database.cachedStatement(
            sql: "SELECT id FROM nsq_jobs_job WHERE state = 2 AND worker_id = ?")
        let update = try database.cachedStatement(
            sql: "UPDATE nsq_jobs_job SET lease_until = ? WHERE id = ?")
        for id in try Int64.fetchAll(select, arguments: [worker.number]) {
            guard var row = try row(JobID(id)) else { continue }
            row.lifecycle.endLease(at: leaseNow + worker.grace)
            guard let lease = row.lifecycle.lease else { continue }
            try update.execute(arguments: [lease.end.nanoseconds, id])
        }
        let stop = try database.cachedStatement(
            sql: "UPDATE nsq_jobs_worker SET stopped_at = ? WHERE id = ?")
        try stop.execute(arguments: [now.microseconds, worker.number])
    }
}
