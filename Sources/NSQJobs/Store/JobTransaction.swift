import GRDB
import TallyBasics

/// One transaction of the SQLite store. It prepares each statement once, and writes the changed
/// counters at its end.
///
/// All transitions read the row, apply ``JobLifecycle``, and write the row, so that the rules exist once.
final class JobTransaction {
    /// Counters that the transaction will write, and rows of queues that it has read. They are
    /// restored if a change fails.
    private struct Memory {
        var countChanges: [CountKey: Int] = [:]
        var queues: [String: Int64] = [:]
        var queueNames: [Int64: String] = [:]
        var pausedQueues: Set<Int64>?
    }

    let database: Database
    private var memory = Memory()
    /// The number of new jobs of a topic that this transaction can still reserve.
    var freeReservations: [AvailableTopic: Int] = [:]
    /// The state of the limits of queues and keys.
    var limits = UnsettledLimits()
    /// The state of ended jobs and of batches.
    var ends = DependencyWork()
    /// The durations that this transaction adds to the statistics of attempts.
    var inspection = TimingChanges()
    /// `true` if jobs became available as a consequence of changes of other jobs.
    var hasNewlyAvailable = false
    private var statements: [SQL: Statement] = [:]

    private struct CountKey: Hashable {
        let queue: Int64
        let counter: JobCounter
    }

    /// The statements that run for many rows.
    enum SQL: Int {
        case insert, findUnique, select, selectRecord, update, insertAttempt, reserve, unreserve
        case savepoint, release, rollback
    }

    init(_ database: Database) {
        self.database = database
    }

    /// Returns the statement, which the first call prepares.
    func statement(_ key: SQL, _ sql: @autoclosure () -> String) throws -> Statement {
        if let statement = statements[key] { return statement }
        let statement = try database.cachedStatement(sql: sql())
        statements[key] = statement
        return statement
    }

    // MARK: Changes

    /// Runs one of several changes. If it throws a ``JobsError``, its effects in the database and in
    /// memory are undone.
    func isolated(_ change: () throws -> Void) throws {
        let before = (memory, freeReservations, limits, ends, inspection)
        try statement(.savepoint, "SAVEPOINT nsq_jobs_change").execute()
        do {
            try change()
        } catch let error as JobsError {
            try statement(.rollback, "ROLLBACK TO SAVEPOINT nsq_jobs_change").execute()
            try statement(.release, "RELEASE SAVEPOINT nsq_jobs_change").execute()
            (memory, freeReservations, limits, ends, inspection) = before
            throw error
        }
        try statement(.release, "RELEASE SAVEPOINT nsq_jobs_change").execute()
    }

    /// Applies the consequences of the changes so far to other jobs: gives free slots to waiting jobs,
    /// releases or cancels the jobs that wait for ended ones, and enqueues the callbacks of ended
    /// batches.
    func settleConsequences() throws {
        repeat {
            try settleLimits()
            try resolveDependencies()
            try settleBatches()
        } while limits.isUnsettled || !ends.isSettled
    }

    // MARK: Counters

    func count(_ change: Int, queue: Int64, _ state: JobState) {
        count(change, queue: queue, .state(state))
    }

    func count(_ change: Int, queue: Int64, _ counter: JobCounter) {
        memory.countChanges[CountKey(queue: queue, counter: counter), default: 0] += change
    }

    /// Writes the counters. Call it right before the commit.
    func writeCounts() throws {
        try inspection.write(to: database)
        let changes = memory.countChanges.filter { $0.value != 0 }
        memory.countChanges = [:]
        guard !changes.isEmpty else { return }
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO nsq_jobs_count (queue_id, state, count) VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET count = count + excluded.count
                """)
        for (key, change) in changes {
            try statement.execute(arguments: [key.queue, key.counter.column, change])
        }
    }

    /// The number of jobs of a queue in a state.
    func count(queue: Int64, _ state: JobState) throws -> Int {
        let select = try database.cachedStatement(
            sql: "SELECT count FROM nsq_jobs_count WHERE queue_id = ? AND state = ?")
        let stored = try Int.fetchOne(select, arguments: [queue, state.rawValue]) ?? 0
        let change = memory.countChanges[CountKey(queue: queue, counter: .state(state))] ?? 0
        // A number that another program has written must not cause an overflow.
        return max(0, min(stored, 1 << 62)) + change
    }

    // MARK: Queues

    /// Returns the number of a queue, which it creates if it does not exist.
    func queueNumber(_ name: String) throws -> Int64 {
        if let number = try existingQueue(name) { return number }
        try database.execute(
            sql: "INSERT INTO nsq_jobs_queue (name) VALUES (?)", arguments: [name])
        let number = database.lastInsertedRowID
        memory.queues[name] = number
        memory.queueNames[number] = name
        return number
    }

    func existingQueue(_ name: String) throws -> Int64? {
        if let number = memory.queues[name] { return number }
        let select = try database.cachedStatement(
            sql: "SELECT id FROM nsq_jobs_queue WHERE name = ?")
        guard let number = try Int64.fetchOne(select, arguments: [name]) else { return nil }
        memory.queues[name] = number
        memory.queueNames[number] = name
        return number
    }

    func queueName(_ number: Int64) throws -> String {
        if let name = memory.queueNames[number] { return name }
        let select = try database.cachedStatement(
            sql: "SELECT name FROM nsq_jobs_queue WHERE id = ?")
        let name = try String.fetchOne(select, arguments: [number]) ?? ""
        memory.queueNames[number] = name
        return name
    }

    func isPaused(_ queue: Int64) throws -> Bool {
        if let paused = memory.pausedQueues { return paused.contains(queue) }
        let select = try database.cachedStatement(
            sql: "SELECT id FROM nsq_jobs_queue WHERE is_paused = 1")
        let paused = try Int64.fetchSet(select)
        memory.pausedQueues = paused
        return paused.contains(queue)
    }

    func setPaused(_ isPaused: Bool, queue: String) throws {
        guard let number = try existingQueue(queue) else {
            throw JobsError(.unknownQueue, "unknown queue '\(queue)'")
        }
        try database.execute(
            sql: "UPDATE nsq_jobs_queue SET is_paused = ? WHERE id = ?",
            arguments: [isPaused, number])
        memory.pausedQueues = nil
    }

    // MARK: Rows

    func row(_ id: JobID) throws -> JobRow? {
        let select = try statement(
            .select, "SELECT \(JobRow.columns) FROM nsq_jobs_job WHERE id = ?")
        return try JobRow.fetchOne(select, [id.number])
    }

    /// Writes the columns that a transition from `old` may have changed, and records the consequences
    /// for other jobs.
    func write(_ row: JobRow, from old: JobLifecycle, at now: JobTime) throws {
        var row = row
        let state = row.lifecycle.state
        if old.state != state {
            count(-1, queue: row.queue, old.state)
            count(1, queue: row.queue, state)
        }
        let (waited, waits) = (old.waitsFor == .limit, row.lifecycle.waitsFor == .limit)
        if waited != waits { count(waits ? 1 : -1, queue: row.queue, .waitingForLimit) }
        try recordLimits(of: row, from: old, at: now)
        try recordEnd(of: row, from: old, at: now)
        if let states = row.uniqueStates {
            row.isUnique = try states & 1 << state.rawValue != 0 && canLock(row)
        }
        let lifecycle = row.lifecycle
        let update = try statement(
            .update,
            """
            UPDATE nsq_jobs_job SET state = ?, version = ?, attempt = ?, max_attempts = ?,
                due_at = ?, publish_at = ?, publish_count = ?, lease_until = ?, worker_id = ?,
                is_cancel_requested = ?, started_at = ?, finished_at = ?, is_unique = ?, note = ?,
                hold = ?
            WHERE id = ?
            """)
        try update.execute(arguments: [
            state.rawValue, lifecycle.version, lifecycle.attempt, lifecycle.maxAttempts,
            lifecycle.dueAt.microseconds, row.publishAt, row.publishCount,
            lifecycle.lease?.end.nanoseconds, row.worker, lifecycle.isCancelRequested,
            lifecycle.startedAt?.microseconds, lifecycle.finishedAt?.microseconds,
            row.uniqueStates == nil ? nil : row.isUnique, row.note, lifecycle.hold?.rawValue,
            row.id,
        ])
        try updateFailure(of: row.id, from: old.state, to: state)
    }

    /// Returns `true` if a job has the lock of its unique key, or can take it because no other job has
    /// it. A job whose lock is taken continues without it, so that uniqueness never blocks a queue.
    private func canLock(_ row: JobRow) throws -> Bool {
        guard !row.isUnique, let lock = row.uniqueLock else { return row.isUnique }
        return try uniqueJob(lock) == nil
    }

    /// Returns the job that has the lock of a unique key.
    func uniqueJob(_ lock: String) throws -> JobID? {
        let find = try statement(
            .findUnique, "SELECT id FROM nsq_jobs_job WHERE unique_lock = ? AND is_unique = 1")
        return try Int64.fetchOne(find, arguments: [lock]).map { JobID($0) }
    }
}
