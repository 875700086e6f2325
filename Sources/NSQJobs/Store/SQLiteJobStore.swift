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
    let leaseClock: LeaseClock
    let processes: ProcessLiveness
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
                // The write-ahead log grows during a long read. A checkpoint then truncates it to this
                // size.
                try database.execute(sql: "PRAGMA journal_size_limit = \(Self.maxLogBytes)")
            }
            try self.init(opened: pool, isOwner: true, requiresSync: true, leaseClock)
        } catch {
            throw JobsError(opening: path, error)
        }
    }

    /// Creates a store in memory, for tests. It is not durable.
    package convenience init(
        inMemory leaseClock: LeaseClock = .system, processes: ProcessLiveness = .system
    ) throws(JobsError) {
        do {
            let queue = try DatabaseQueue(configuration: Self.configuration)
            try self.init(
                opened: queue, isOwner: true, requiresSync: false, leaseClock, processes)
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
        _ processes: ProcessLiveness = .system, maxWaiting: Int = SQLiteJobStore.maxWaiting
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
        self.processes = processes
        commits = GroupCommit(writer, maxWaiting: maxWaiting)
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "nsq.jobs"
        // A transaction waits up to 10 s while another process commits.
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

    /// Ends all leases after a restart of the machine, because all workers from before the restart
    /// have ended.
    private static func endLeasesOfEarlierBoot(
        _ database: Database, _ clock: LeaseClock
    ) throws {
        let bootID = try String.fetchOne(database, sql: "SELECT boot_id FROM nsq_jobs_meta")
        guard bootID != clock.bootID else { return }
        try database.execute(sql: "UPDATE nsq_jobs_job SET lease_until = 0 WHERE state = 2")
        try database.execute(
            sql: "UPDATE nsq_jobs_meta SET boot_id = ?", arguments: [clock.bootID])
    }

    /// Stores jobs within a transaction of the caller. The jobs exist if the caller commits the
    /// transaction.
    ///
    /// - Precondition: `database` belongs to the database of this store.
    package func enqueue(
        _ jobs: [NewJob], in database: Database, at now: JobTime
    ) throws(JobsError) -> EnqueueResult {
        do {
            var result = EnqueueResult()
            // The caller may commit after an error. The savepoint ensures that none of these jobs is
            // stored then.
            try database.inSavepoint {
                let transaction = JobTransaction(database)
                result = try transaction.enqueue(jobs, publishing: nil, at: now)
                try transaction.settleConsequences()
                try transaction.writeCounts()
                return .commit
            }
            return result
        } catch {
            throw JobsError(storeError: error)
        }
    }

    /// Runs a change in the next transaction.
    func write<Result: Sendable>(
        _ body: @escaping @Sendable (JobTransaction) throws -> Result
    ) async throws(JobsError) -> Result {
        try await commits.write(body)
    }

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (JobReader) throws -> Result
    ) async throws(JobsError) -> Result {
        do {
            return try await writer.read { try body(JobReader(database: $0)) }
        } catch {
            throw JobsError(storeError: error)
        }
    }

    package func close() async throws(JobsError) {
        // All waiting changes are committed before this empty change.
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
