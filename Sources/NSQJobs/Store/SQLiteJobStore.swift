import Foundation
import GRDB
import TallyBasics

/// Jobs in an SQLite database, in a file of its own or in an application's database.
///
/// Changes are grouped into transactions (``GroupCommit``), each synced before its calls return. Any
/// number of processes of one machine can use the file.
package final class SQLiteJobStore: JobStore {
    private let writer: any DatabaseWriter
    private let commits: GroupCommit
    private let leaseClock: LeaseClock
    private let isOwner: Bool

    /// Opens the database at `path`, and creates it if it does not exist.
    ///
    /// - Throws: ``JobsError/Code/storeUnusable``.
    package convenience init(
        path: String, leaseClock: LeaseClock = .system
    ) throws(JobsError) {
        do {
            let pool = try DatabasePool(path: path, configuration: Self.configuration)
            try pool.writeWithoutTransaction { database in
                // GRDB opens WAL databases with NORMAL, which can lose the latest commits in a power
                // failure.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                // A checkpoint truncates a log that a long reader has let grow.
                try database.execute(sql: "PRAGMA journal_size_limit = \(Self.maxLogBytes)")
            }
            try self.init(opened: pool, isOwner: true, requiresSync: true, leaseClock)
        } catch {
            throw JobsError(opening: path, error)
        }
    }

    /// Creates a store in memory, for tests. It is not durable.
    package convenience init(inMemory leaseClock: LeaseClock = .system) throws(JobsError) {
        do {
            let queue = try DatabaseQueue(configuration: Self.configuration)
            try self.init(opened: queue, isOwner: true, requiresSync: false, leaseClock)
        } catch {
            throw JobsError(opening: ":memory:", error)
        }
    }

    /// Uses an application's database, in which it creates the tables `nsq_jobs_…`.
    ///
    /// - Throws: ``JobsError/Code/storeUnusable`` if `requiresSync` is `true` and the database does not
    ///   sync its commits.
    package convenience init(
        in writer: any DatabaseWriter, requiresSync: Bool, leaseClock: LeaseClock = .system,
        maxWaiting: Int = SQLiteJobStore.maxWaiting
    ) throws(JobsError) {
        do {
            try self.init(
                opened: writer, isOwner: false, requiresSync: requiresSync, leaseClock,
                maxWaiting: maxWaiting)
        } catch {
            throw JobsError(opening: writer.path, error)
        }
    }

    private init(
        opened writer: any DatabaseWriter, isOwner: Bool, requiresSync: Bool, _ clock: LeaseClock,
        maxWaiting: Int = SQLiteJobStore.maxWaiting
    ) throws {
        try writer.writeWithoutTransaction { database in
            if requiresSync { try Self.checkSync(database) }
            try database.inTransaction(.immediate) {
                try SQLiteSchema.migrate(database)
                try Self.endLeasesOfEarlierBoot(database, clock)
                return .commit
            }
        }
        self.writer = writer
        self.isOwner = isOwner
        leaseClock = clock
        commits = GroupCommit(writer, maxWaiting: maxWaiting)
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "nsq.jobs"
        // Waits while another process commits.
        configuration.busyMode = .timeout(10)
        return configuration
    }

    /// The maximum number of changes that wait for a transaction.
    package static let maxWaiting = 100_000

    /// The size of the write-ahead log after a checkpoint, in bytes.
    private static let maxLogBytes = 32 << 20

    /// - Throws: ``JobsError/Code/storeUnusable`` if commits are not synced.
    private static func checkSync(_ database: Database) throws {
        let synchronous = try Int.fetchOne(database, sql: "PRAGMA synchronous") ?? 0
        let journal = try String.fetchOne(database, sql: "PRAGMA journal_mode") ?? ""
        guard synchronous >= 2, journal != "memory", journal != "off" else {
            throw JobsError(
                .storeUnusable,
                "the database does not sync its commits: synchronous is \(synchronous), journal_mode "
                    + "is \(journal) (execute 'PRAGMA synchronous = FULL' on its writer)")
        }
    }

    /// After a restart of the machine, no worker of before exists any more.
    private static func endLeasesOfEarlierBoot(
        _ database: Database, _ clock: LeaseClock
    ) throws {
        let bootID = try String.fetchOne(database, sql: "SELECT boot_id FROM nsq_jobs_meta")
        guard bootID != clock.bootID else { return }
        try database.execute(sql: "UPDATE nsq_jobs_job SET lease_until = 0 WHERE state = 2")
        try database.execute(
            sql: "UPDATE nsq_jobs_meta SET boot_id = ?", arguments: [clock.bootID])
    }

    /// Stores jobs within a transaction of the caller, which decides whether they exist.
    ///
    /// - Precondition: `database` belongs to the database of this store.
    package func enqueue(
        _ jobs: [NewJob], in database: Database, at now: JobTime
    ) throws(JobsError) -> EnqueueResult {
        do {
            let transaction = JobTransaction(database)
            let result = try transaction.enqueue(jobs, publishing: nil, at: now)
            try transaction.writeCounts()
            return result
        } catch {
            throw JobsError(storeError: error)
        }
    }

    /// Runs a change in the next transaction.
    private func write<Result: Sendable>(
        _ body: @escaping @Sendable (JobTransaction) throws -> Result
    ) async throws(JobsError) -> Result {
        try await commits.write(body)
    }

    private func read<Result: Sendable>(
        _ body: @escaping @Sendable (JobReader) throws -> Result
    ) async throws(JobsError) -> Result {
        do {
            return try await writer.read { try body(JobReader(database: $0)) }
        } catch {
            throw JobsError(storeError: error)
        }
    }

    package func close() async throws(JobsError) {
        // The changes that wait are committed before this one.
        try await write { _ in }
        guard isOwner else { return }
        do {
            try writer.close()
        } catch {
            throw JobsError(storeError: error)
        }
    }
}

extension JobsError {
    fileprivate init(opening path: String, _ error: any Error) {
        let reason =
            switch error {
            case let error as JobsError: error.reason
            case let error as DatabaseError: error.message ?? "\(error.resultCode)"
            default: "\(error)"
            }
        self.init(.storeUnusable, "cannot open the job store '\(path)': \(reason)")
    }
}

// MARK: - Calls

extension SQLiteJobStore {
    package func enqueue(
        _ jobs: [NewJob], publishing policy: PublishPolicy?, at now: JobTime
    ) async throws(JobsError) -> EnqueueResult {
        precondition(jobs.count <= Self.maxEnqueueCount, "callers divide longer lists")
        return try await write { try $0.enqueue(jobs, publishing: policy, at: now) }
    }

    package func makeDueJobsAvailable(
        limit: Int, at now: JobTime
    ) async throws(JobsError) -> Int {
        try await write { try $0.makeDueJobsAvailable(limit: limit, at: now) }
    }

    package func expireLeases(limit: Int, at now: JobTime) async throws(JobsError) -> Int {
        let leaseNow = leaseClock.now()
        return try await write { try $0.expireLeases(limit: limit, leaseNow: leaseNow, at: now) }
    }

    package func sweep(
        limit: Int, policy: PublishPolicy, at now: JobTime
    ) async throws(JobsError) -> SweepResult {
        let leaseNow = leaseClock.now()
        return try await write {
            try $0.sweep(limit: limit, policy: policy, leaseNow: leaseNow, at: now)
        }
    }

    package func cancelReservations(_ references: [JobReference]) async throws(JobsError) {
        try await write { try $0.cancelReservations(references) }
    }

    package func registerWorker(
        _ worker: NewWorker, at now: JobTime
    ) async throws(JobsError) -> Int64 {
        try await write { try $0.registerWorker(worker, at: now) }
    }

    package func updateWorker(
        _ number: Int64, isStopped: Bool, at now: JobTime
    ) async throws(JobsError) {
        try await write { try $0.updateWorker(number, isStopped: isStopped, at: now) }
    }

    package func claim(
        _ references: [JobReference], worker: Int64, lease: Duration, at now: JobTime
    ) async throws(JobsError) -> [ClaimResult] {
        let end = leaseClock.now() + lease
        return try await write {
            try $0.claim(references, worker: worker, leaseEnd: end, at: now)
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
    ) async throws(JobsError) -> [Bool] {
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
        _ rule: PruneRule, from position: PruneProgress.Position?, limit: Int, at now: JobTime
    ) async throws(JobsError) -> PruneProgress {
        try await write { try $0.prune(rule, from: position, limit: limit, at: now) }
    }
}
