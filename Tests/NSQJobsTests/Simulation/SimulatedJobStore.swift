import NSQJobs
import TallyBasics

/// The methods of a job store that the simulation calls.
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
    func setLimit(_ limit: JobLimit?, isPerKey: Bool) async throws
}

/// A store without a database, which consists of the rules alone: ``JobLifecycle`` and
/// ``PublishPolicy``.
final class ModelJobStore: SimulatedJobStore {
    fileprivate struct Row {
        var lifecycle: JobLifecycle
        let limitKey: String?
        var dependencies: [JobID: JobDependencies.FailurePolicy]
        var publishAt: JobTime?
        var publishCount = 0
    }

    private let leases: ManualLeaseClock
    private let takesFromLiveWorkers: Bool
    private var rows: [Row] = []
    private var limits = ModelLimits()
    private var endedWorkers: Set<Int64> = []

    /// - Parameter takesFromLiveWorkers: `true` if a repeated message alone ends a lease. This is a
    ///   fault, which the simulation must find.
    init(_ leases: ManualLeaseClock, takesFromLiveWorkers: Bool = false) {
        self.leases = leases
        self.takesFromLiveWorkers = takesFromLiveWorkers
    }

    func workerStarted(at now: JobTime) {}

    func workerEnded(_ number: Int64) { endedWorkers.insert(number) }

    func enqueue(_ job: NewJob, at now: JobTime) -> JobID {
        var lifecycle = JobLifecycle(
            maxAttempts: job.options.retry.maxAttempts, dueAt: job.dueAt ?? now, now: now)
        let policies = (job.dependencies?.ids ?? []).map { ($0, job.dependencies!.onFailure) }
        if !policies.isEmpty { lifecycle.waitForJobs() }
        rows.append(
            Row(
                lifecycle: lifecycle, limitKey: job.limitKey,
                dependencies: Dictionary(uniqueKeysWithValues: policies)))
        resolveDependencies(at: now)
        return JobID(Int64(rows.count))
    }

    /// Releases and cancels jobs until nothing changes any more.
    private func resolveDependencies(at now: JobTime) {
        var isChanged = true
        while isChanged {
            isChanged = false
            for index in rows.indices where rows[index].lifecycle.hold == .jobs {
                let effects = rows[index].dependencies.map { id, policy in
                    (id, JobDependencies.effect(of: lifecycle(of: id).state, policy))
                }
                for (id, effect) in effects where effect == .satisfied {
                    rows[index].dependencies[id] = nil
                }
                if effects.contains(where: { $0.1 == .cancelled }) {
                    changeRow(index, at: now) { _ = try? $0.cancel(at: now) }
                    isChanged = true
                } else if rows[index].dependencies.isEmpty {
                    changeRow(index, at: now) { _ = $0.dependenciesEnded(at: now) }
                    isChanged = true
                }
            }
        }
    }

    func sweep(policy: PublishPolicy, at now: JobTime) -> SweepResult {
        var result = SweepResult()
        for index in rows.indices {
            changeRow(index, at: now) { _ = $0.makeAvailable(at: now) }
            endLeaseOfEndedWorker(index)
            changeRow(index, at: now) { _ = $0.expireLease(at: leases.now, now) }
        }
        limits.wake(at: now)
        settleLimits()
        resolveDependencies(at: now)
        result.nextDue = limits.nextWakeUp
        var free = policy.window - rows.count { $0.isPublished(at: now) }
        for index in rows.indices {
            let row = rows[index]
            if row.lifecycle.state.isWaitingForTime, row.lifecycle.hold == nil {
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
            result.publications.append(ReservedJob(reference, to: topic, name: "n"))
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
        let isRunning = rows[index].lifecycle.state == .running
        endLeaseOfEndedWorker(index)
        if takesFromLiveWorkers { rows[index].lifecycle.endLease(at: leases.now) }
        var isTaken = false
        changeRow(index, at: now) { isTaken = isRunning && $0.expireLease(at: leases.now, now) }
        settleLimits()
        resolveDependencies(at: now)
        var claimed = rows[index].lifecycle
        let version = isTaken ? nil : reference.version
        guard claimed.claim(version: version, lease: lease, at: now) else { return nil }
        changeRow(index, at: now) { $0 = waiting($0, rows[index].limitKey, at: now) ?? claimed }
        settleLimits()
        return rows[index].lifecycle.claim
    }

    /// Returns the state of an available job that has to wait for a limit; `nil` if the job may start.
    private func waiting(
        _ job: JobLifecycle, _ key: String?, at now: JobTime
    ) -> JobLifecycle? {
        guard job.hold != .admitted,
            case .wait(let scope, let until)? = try? decision(queue: 1, key: key, at: now)
        else { return nil }
        var job = job
        return job.waitForLimit(scope.hold, until: until) ? job : nil
    }

    func setLimit(_ limit: JobLimit?, isPerKey: Bool) {
        if isPerKey { limits.perKey = limit } else { limits.whole = limit }
        for row in rows {
            guard row.lifecycle.waitsFor == .limit else { continue }
            let isForKey = row.lifecycle.hold == .keyLimit
            limits.mustSettle(
                LimitScope(queue: 1, key: isForKey ? row.limitKey : nil), at: limits.now)
        }
        settleLimits()
    }

    private func settleLimits() {
        while let scope = limits.nextUnsettled() {
            try? settle(scope, limit: 100, at: limits.now)
        }
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
        changeRow(Int(settlement.claim.id.number) - 1, at: now) {
            isHeld = $0.settle(settlement.claim.claim, settlement.outcome, at: now)
        }
        settleLimits()
        resolveDependencies(at: now)
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
        changeRow(index, at: now) { $0 = lifecycle }
        settleLimits()
        resolveDependencies(at: now)
    }

    func lifecycle(of id: JobID) -> JobLifecycle { rows[Int(id.number) - 1].lifecycle }

    /// Changes the job of a row. If the job has a new version, it counts as not published.
    private func changeRow(
        _ index: Int, at now: JobTime, _ body: (inout JobLifecycle) -> Void
    ) {
        let old = rows[index].lifecycle
        var new = old
        body(&new)
        rows[index].lifecycle = new
        guard new.version != old.version else { return }
        limits.record(old, new, key: rows[index].limitKey, at: now)
        rows[index].publishAt = nil
        rows[index].publishCount = 0
    }
}

extension ModelJobStore.Row {
    fileprivate func isPublished(at now: JobTime) -> Bool {
        lifecycle.state == .available && publishAt.map { $0 > now } ?? false
    }
}

extension ModelJobStore: JobLimiter {
    func limit(of scope: LimitScope) -> JobLimit? {
        scope.key == nil ? limits.whole : limits.perKey
    }

    func use(of scope: LimitScope) -> LimitUse {
        var use = LimitUse()
        for row in rows where scope.key == nil || scope.key == row.limitKey {
            use.change(from: .none, to: row.lifecycle.slot(in: scope))
        }
        return use
    }

    func start(ofRank rank: Int, in scope: LimitScope, at now: JobTime) -> JobTime? {
        limits.start(ofRank: rank, in: scope, at: now)
    }

    func firstWaiting(in scope: LimitScope) -> JobID? {
        rows.firstIndex {
            $0.lifecycle.hold == scope.hold && (scope.key == nil || scope.key == $0.limitKey)
        }.map { JobID(Int64($0 + 1)) }
    }

    func admit(_ id: JobID, at now: JobTime) {
        changeRow(Int(id.number) - 1, at: now) { _ = $0.admit(at: now) }
    }

    func waitForQueue(_ id: JobID, at now: JobTime) {
        changeRow(Int(id.number) - 1, at: now) { _ = $0.waitForLimit(.queueLimit) }
    }

    func setWakeUp(_ time: JobTime?, of scope: LimitScope) { limits.setWakeUp(time, of: scope) }
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
        let results = try await store.claim(
            [reference], worker: worker, lease: lease, at: now
        ).results
        guard case .claimed(let job) = results[0] else { return nil }
        return job.lifecycle.claim
    }

    func renew(_ claims: [JobClaim], lease: Duration) async throws -> [JobLifecycle.Renewal] {
        try await store.renew(claims, lease: lease)
    }

    func settle(_ settlement: Settlement, at now: JobTime) async throws -> Bool {
        try await store.settle([settlement], at: now).isHeld[0]
    }

    func change(_ id: JobID, _ change: JobChange, at now: JobTime) async throws {
        _ = try await store.change(id, change, at: now)
    }

    func setLimit(_ limit: JobLimit?, isPerKey: Bool) async throws {
        try await store.setLimit(limit, queue: "default", isPerKey: isPerKey)
    }

    func lifecycle(of id: JobID) async throws -> JobLifecycle {
        guard let job = try await store.job(id) else { throw JobsError(.unknownJob, "\(id)") }
        return job.lifecycle
    }
}
