import GRDB
import TallyBasics

extension SQLiteJobStore {
    package func enqueue(
        _ jobs: [NewJob], publishing policy: PublishPolicy?, at now: JobTime
    ) async throws(JobsError) -> EnqueueResult {
        precondition(jobs.count <= Self.maxEnqueueCount, "callers divide longer lists")
        return try await write { try $0.enqueue(jobs, publishing: policy, at: now) }
    }

    package func createBatch(
        then callback: NewJob?, at now: JobTime
    ) async throws(JobsError) -> JobBatchID {
        try await write { try $0.createBatch(then: callback, at: now) }
    }

    package func enqueueBatch(
        _ jobs: [NewJob], then callback: NewJob?, at now: JobTime
    ) async throws(JobsError) -> (id: JobBatchID, result: EnqueueResult) {
        precondition(jobs.count <= Self.maxEnqueueCount, "callers refuse longer lists")
        return try await write { transaction in
            let id = try transaction.createBatch(then: callback, at: now)
            let jobs = jobs.map { job in
                var job = job
                job.batch = id
                return job
            }
            let result = try transaction.enqueue(jobs, publishing: nil, at: now)
            try transaction.closeBatch(id, at: now)
            return (id, result)
        }
    }

    package func closeBatch(_ id: JobBatchID, at now: JobTime) async throws(JobsError) {
        try await write { try $0.closeBatch(id, at: now) }
    }

    package func dependencies(of id: JobID) async throws(JobsError) -> [JobID] {
        try await read { try $0.dependencies(of: id) }
    }

    package func batch(_ id: JobBatchID) async throws(JobsError) -> JobBatch? {
        try await read { try $0.batch(id) }
    }

    package func batch(ofCallback id: JobID) async throws(JobsError) -> JobBatch? {
        try await read { try $0.batch(ofCallback: id) }
    }

    package func makeDueJobsAvailable(
        limit: Int, at now: JobTime
    ) async throws(JobsError) -> Int {
        try await write { transaction in
            try transaction.settleDueLimits(limit: limit, at: now)
            _ = try transaction.resolveRest(limit: limit, at: now)
            try transaction.settleConsequences()
            return try transaction.makeDueJobsAvailable(limit: limit, at: now)
        }
    }

    package func expireLeases(limit: Int, at now: JobTime) async throws(JobsError) -> Int {
        let leaseNow = leaseClock.now()
        return try await write { try $0.expireLeases(limit: limit, leaseNow: leaseNow, at: now) }
    }

    package func sweep(
        limit: Int, policy: PublishPolicy, at now: JobTime
    ) async throws(JobsError) -> SweepResult {
        let (leaseNow, processes) = (leaseClock.now(), processes)
        return try await write {
            try $0.sweep(
                limit: limit, policy: policy, processes: processes, leaseNow: leaseNow, at: now)
        }
    }

    package func cancelReservations(_ references: [JobReference]) async throws(JobsError) {
        try await write { try $0.cancelReservations(references) }
    }

    package func releasePublished(
        before time: JobTime, limit: Int, policy: PublishPolicy, at now: JobTime
    ) async throws(JobsError) -> Int {
        try await write {
            try $0.releasePublished(before: time, limit: limit, policy: policy, at: now)
        }
    }

    package func registerWorker(
        _ worker: NewWorker, at now: JobTime
    ) async throws(JobsError) -> Int64 {
        let process = processes.own()
        return try await write { try $0.registerWorker(worker, process: process, at: now) }
    }

    package func updateWorker(
        _ number: Int64, isStopped: Bool, at now: JobTime
    ) async throws(JobsError) {
        try await write { try $0.updateWorker(number, isStopped: isStopped, at: now) }
    }

    package func claim(
        _ references: [JobReference], worker: Int64, lease: Duration, at now: JobTime
    ) async throws(JobsError) -> ClaimResults {
        let (start, processes) = (leaseClock.now(), processes)
        return try await write {
            let results = try $0.claim(references, worker: worker, leaseEnd: start + lease, at: now)
            let all = try $0.takeOver(
                references, results, from: processes, worker: worker,
                lease: (now: start, end: start + lease), at: now)
            return ClaimResults(all, hasNewlyAvailable: $0.hasNewlyAvailable)
        }
    }

    package func claimNext(
        limit: Int, worker: Int64, lease: Duration, at now: JobTime
    ) async throws(JobsError) -> [JobRecord] {
        let end = leaseClock.now() + lease
        return try await write {
            try $0.claimNext(limit: limit, worker: worker, leaseEnd: end, at: now)
        }
    }

    package func renew(
        _ claims: [JobClaim], lease: Duration
    ) async throws(JobsError) -> [JobLifecycle.Renewal] {
        let end = leaseClock.now() + lease
        return try await write { try $0.renew(claims, leaseEnd: end) }
    }

    package func settle(
        _ settlements: [Settlement], at now: JobTime
    ) async throws(JobsError) -> SettleResult {
        try await write { try $0.settle(settlements, at: now) }
    }

    package func cancellations(
        of claims: [JobClaim]
    ) async throws(JobsError) -> Set<JobClaim> {
        try await read { try $0.cancellations(of: claims) }
    }

    package func setOutput(
        _ json: String, of claim: JobClaim
    ) async throws(JobsError) -> Bool {
        try await write { try $0.setOutput(json, of: claim) }
    }

    package func storeStep(
        _ name: String, result: String, of claim: JobClaim, at now: JobTime
    ) async throws(JobsError) -> Bool {
        try await write { try $0.storeStep(name, result: result, of: claim, at: now) }
    }

    package func step(_ name: String, of id: JobID) async throws(JobsError) -> String? {
        try await read { try $0.step(name, of: id) }
    }

    package func steps(of id: JobID) async throws(JobsError) -> [JobStep] {
        try await read { try $0.steps(of: id) }
    }

    package func insertDiscarded(
        _ job: NewJob, note: String, at now: JobTime
    ) async throws(JobsError) {
        try await write { try $0.insertDiscarded(job, note: note, at: now) }
    }

    package func job(_ id: JobID) async throws(JobsError) -> JobRecord? {
        try await read { try $0.job(id) }
    }

    package func latestJob(
        name: String, uniqueKey: String
    ) async throws(JobsError) -> JobRecord? {
        try await read { try $0.latestJob(name: name, uniqueKey: uniqueKey) }
    }

    package func attempts(of id: JobID) async throws(JobsError) -> [JobAttempt] {
        try await read { try $0.attempts(of: id) }
    }

    package func jobs(matching query: JobQuery) async throws(JobsError) -> JobPage {
        try await read { try $0.page(query) }
    }

    package func counts() async throws(JobsError) -> [QueueCounts] {
        try await read { try $0.counts() }
    }

    package func workers() async throws(JobsError) -> [WorkerRecord] {
        try await read { try $0.workers() }
    }

    package func change(
        _ id: JobID, _ change: JobChange, at now: JobTime
    ) async throws(JobsError) -> JobRecord {
        try await write { transaction in
            _ = try transaction.change(id, change, at: now)
            guard let job = try JobReader(database: transaction.database).job(id) else {
                throw JobsError.unknownJob(id)
            }
            return job
        }
    }

    package func changeAll(
        _ ids: [JobID], _ change: JobChange, at now: JobTime
    ) async throws(JobsError) -> Int {
        try await write { transaction in
            try ids.count { id in
                do {
                    _ = try transaction.change(id, change, at: now)
                    return true
                } catch let error as JobsError
                    where error.code == .invalidTransition || error.code == .unknownJob
                {
                    return false
                }
            }
        }
    }

    package func setPaused(_ isPaused: Bool, queue: String) async throws(JobsError) {
        try await write { try $0.setPaused(isPaused, queue: queue) }
    }

    package func setLimit(
        _ limit: JobLimit?, queue: String, isPerKey: Bool
    ) async throws(JobsError) {
        try await write { try $0.setLimit(limit, ofQueue: queue, isPerKey: isPerKey) }
    }

    package func store(_ schedule: CronSchedule, at now: JobTime) async throws(JobsError) {
        try await write { try $0.store(schedule, at: now) }
    }

    package func removeSchedule(_ name: String) async throws(JobsError) -> Bool {
        try await write { try $0.removeSchedule(name) }
    }

    package func schedules() async throws(JobsError) -> [CronSchedule] {
        try await read { try $0.schedules("ORDER BY name LIMIT 1000", []).compactMap(\.schedule) }
    }

    package func enqueueDueTicks(
        limit: Int, at now: JobTime
    ) async throws(JobsError) -> Bool {
        try await write { try $0.enqueueDueTicks(limit: limit, at: now) }
    }

    package func prune(
        _ rule: PruneRule, limit: Int, at now: JobTime
    ) async throws(JobsError) -> Int {
        try await write { try $0.prune(rule, limit: limit, at: now) }
    }

    package func names(prefix: String, limit: Int) async throws(JobsError) -> [String] {
        try await read { try $0.names(prefix: prefix, limit: limit) }
    }
}
