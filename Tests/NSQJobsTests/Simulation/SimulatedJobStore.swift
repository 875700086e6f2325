import NSQJobs
import TallyBasics

/// The calls of a store that the simulation uses.
protocol SimulatedJobStore: AnyObject {
    /// Registers a worker, which has the next number from 1.
    func workerStarted(at now: JobTime) async throws
    /// Records that the process of a worker has ended.
    func workerEnded(_ number: Int64)
    func enqueue(_ job: NewJob, at now: JobTime) async throws -> JobID
    func sweep(policy: PublishPolicy, at now: JobTime) async throws -> SweepResult
    func cancelReservations(_ references: [JobReference]) async throws
    func claim(
        _ reference: JobReference, worker: Int64, lease: Duration, at now: JobTime
    ) async throws -> JobLifecycle.Claim?
    func renew(_ claims: [JobClaim], lease: Duration) async throws -> [JobLifecycle.Renewal]
    func settle(_ settlement: Settlement, at now: JobTime) async throws -> Bool
    func change(_ id: JobID, _ change: JobChange, at now: JobTime) async throws
    func lifecycle(of id: JobID) async throws -> JobLifecycle
}

/// The rules of the store without a database: ``JobLifecycle`` and ``PublishPolicy`` alone.
final class ModelJobStore: SimulatedJobStore {
    fileprivate struct Row {
        var lifecycle: JobLifecycle
        var publishAt: JobTime?
        var publishCount = 0
    }

    private let leases: ManualLeaseClock
    private let takesFromLiveWorkers: Bool
    private var rows: [Row] = []
    private var endedWorkers: Set<Int64> = []

    /// - Parameter takesFromLiveWorkers: whether a repeated message alone ends a lease, which is wrong.
    init(_ leases: ManualLeaseClock, takesFromLiveWorkers: Bool = false) {
        self.leases = leases
        self.takesFromLiveWorkers = takesFromLiveWorkers
    }

    func workerStarted(at now: JobTime) {}

    func workerEnded(_ number: Int64) { endedWorkers.insert(number) }

    func enqueue(_ job: NewJob, at now: JobTime) -> JobID {
        let lifecycle = JobLifecycle(
            maxAttempts: job.options.retry.maxAttempts, dueAt: job.dueAt ?? now, now: now)
        rows.append(Row(lifecycle: lifecycle))
        return JobID(Int64(rows.count))
    }

    func sweep(policy: PublishPolicy, at now: JobTime) -> SweepResult {
        var result = SweepResult()
        for index in rows.indices {
            changeRow(index) { _ = $0.makeAvailable(at: now) }
            endLeaseOfEndedWorker(index)
            changeRow(index) { _ = $0.expireLease(at: leases.now, now) }
        }
        var free = policy.window - rows.count { $0.isPublished(at: now) }
        for index in rows.indices {
            let row = rows[index]
            if row.lifecycle.state.isWaitingForTime {
                result.nextDue = min(result.nextDue ?? row.lifecycle.dueAt, row.lifecycle.dueAt)
            }
            guard row.lifecycle.state == .available, !row.isPublished(at: now) else { continue }
            guard free > 0 else {
                result.isWindowFull = true
                break
            }
            free -= 1
            rows[index].publishCount += 1
            rows[index].publishAt = policy.nextPublish(
                afterPublish: rows[index].publishCount, at: now)
            let reference = JobReference(
                id: JobID(Int64(index + 1)), version: row.lifecycle.version)
            let topic = JobTopic(queue: "default", priority: .normal)
            result.publications.append(Publication(reference, to: topic, name: "n"))
        }
        return result
    }

    func cancelReservations(_ references: [JobReference]) {
        for reference in references {
            let index = Int(reference.id.number) - 1
            guard rows[index].lifecycle.version == reference.version else { continue }
            rows[index].publishAt = nil
        }
    }

    func claim(
        _ reference: JobReference, worker: Int64, lease: Duration, at now: JobTime
    ) -> JobLifecycle.Claim? {
        let index = Int(reference.id.number) - 1
        let lease = JobLifecycle.Lease(worker: worker, end: leases.now + lease)
        var isClaimed = false
        let isRunning = rows[index].lifecycle.state == .running
        endLeaseOfEndedWorker(index)
        if takesFromLiveWorkers { rows[index].lifecycle.endLease(at: leases.now) }
        changeRow(index) {
            let isTaken = isRunning && $0.expireLease(at: leases.now, now)
            isClaimed = $0.claim(
                version: isTaken ? nil : reference.version, lease: lease, at: now)
        }
        return isClaimed ? rows[index].lifecycle.claim : nil
    }

    private func endLeaseOfEndedWorker(_ index: Int) {
        guard let worker = rows[index].lifecycle.lease?.worker, endedWorkers.contains(worker) else {
            return
        }
        rows[index].lifecycle.endLease(at: leases.now)
    }

    func renew(_ claims: [JobClaim], lease: Duration) -> [JobLifecycle.Renewal] {
        claims.map { claim in
            rows[Int(claim.id.number) - 1].lifecycle.renew(claim.claim, until: leases.now + lease)
        }
    }

    func settle(_ settlement: Settlement, at now: JobTime) -> Bool {
        var isHeld = false
        changeRow(Int(settlement.claim.id.number) - 1) {
            isHeld = $0.settle(settlement.claim.claim, settlement.outcome, at: now)
        }
        return isHeld
    }

    func change(_ id: JobID, _ change: JobChange, at now: JobTime) throws {
        let index = Int(id.number) - 1
        var lifecycle = rows[index].lifecycle
        switch change {
        case .cancel: _ = try lifecycle.cancel(at: now)
        case .discard: try lifecycle.discard(at: now)
        case .retry: try lifecycle.retry(at: now)
        case .edit: break
        }
        changeRow(index) { $0 = lifecycle }
    }

    func lifecycle(of id: JobID) -> JobLifecycle { rows[Int(id.number) - 1].lifecycle }

    /// A job in a new version was not published yet.
    private func changeRow(_ index: Int, _ body: (inout JobLifecycle) -> Void) {
        let version = rows[index].lifecycle.version
        body(&rows[index].lifecycle)
        guard rows[index].lifecycle.version != version else { return }
        rows[index].publishAt = nil
        rows[index].publishCount = 0
    }
}

extension ModelJobStore.Row {
    fileprivate func isPublished(at now: JobTime) -> Bool {
        lifecycle.state == .available && publishAt.map { $0 > now } ?? false
    }
}

/// The store in SQLite.
final class SimulatedSQLiteStore: SimulatedJobStore {
    private let store: SQLiteJobStore
    private let processes = ManualProcessTable()
    private var lastWorker: Int64 = 0

    init(_ leases: ManualLeaseClock) throws {
        store = try SQLiteJobStore(inMemory: leases.clock(), processes: processes.table)
    }

    func workerStarted(at now: JobTime) async throws {
        lastWorker += 1
        processes.own = "\(lastWorker)"
        let worker = NewWorker(name: "w", queues: [], concurrency: 4)
        _ = try await store.registerWorker(worker, at: now)
    }

    func workerEnded(_ number: Int64) { processes.end("\(number)") }

    func enqueue(_ job: NewJob, at now: JobTime) async throws -> JobID {
        try await store.enqueue([job], publishing: nil, at: now).receipts[0].id
    }

    func sweep(policy: PublishPolicy, at now: JobTime) async throws -> SweepResult {
        try await store.sweep(limit: 1_000, policy: policy, at: now)
    }

    func cancelReservations(_ references: [JobReference]) async throws {
        try await store.cancelReservations(references)
    }

    func claim(
        _ reference: JobReference, worker: Int64, lease: Duration, at now: JobTime
    ) async throws -> JobLifecycle.Claim? {
        let results = try await store.claim([reference], worker: worker, lease: lease, at: now)
        guard case .claimed(let job) = results[0] else { return nil }
        return job.lifecycle.claim
    }

    func renew(_ claims: [JobClaim], lease: Duration) async throws -> [JobLifecycle.Renewal] {
        try await store.renew(claims, lease: lease)
    }

    func settle(_ settlement: Settlement, at now: JobTime) async throws -> Bool {
        try await store.settle([settlement], at: now)[0]
    }

    func change(_ id: JobID, _ change: JobChange, at now: JobTime) async throws {
        _ = try await store.change(id, change, at: now)
    }

    func lifecycle(of id: JobID) async throws -> JobLifecycle {
        guard let job = try await store.job(id) else { throw JobsError(.unknownJob, "\(id)") }
        return job.lifecycle
    }
}
