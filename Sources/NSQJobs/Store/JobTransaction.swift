import GRDB
import TallyBasics

/// One transaction of the SQLite store. It prepares each statement once, and writes the changed
/// counters at its end.
///
/// All transitions read the row, apply ``JobLifecycle``, and write the row, so that the rules exist once.
final class JobTransaction {
    let database: Database
    private var countChanges: [CountKey: Int] = [:]
    private var queues: [String: Int64] = [:]
    private var queueNames: [Int64: String] = [:]
    private var pausedQueues: Set<Int64>?
    /// How many new jobs of a topic can be reserved in this transaction.
    var freeReservations: [AvailableTopic: Int] = [:]
    private var statements: [SQL: Statement] = [:]
    /// What this transaction adds to the statistics of attempts and to the names of jobs.
    var inspection = InspectionChanges()

    private struct CountKey: Hashable {
        let queue: Int64
        let state: JobState
    }

    /// The statements that run for many rows.
    enum SQL: Int {
        case insert, findUnique, select, selectRecord, update, insertAttempt, reserve, unreserve
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

    // MARK: Counters

    func count(_ change: Int, queue: Int64, _ state: JobState) {
        countChanges[CountKey(queue: queue, state: state), default: 0] += change
    }

    /// Writes the counters. Call it right before the commit.
    func writeCounts() throws {
        try inspection.write(to: database)
        let changes = countChanges.filter { $0.value != 0 }
        countChanges = [:]
        guard !changes.isEmpty else { return }
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO nsq_jobs_count (queue_id, state, count) VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET count = count + excluded.count
                """)
        for (key, change) in changes {
            try statement.execute(arguments: [key.queue, key.state.rawValue, change])
        }
    }

    // MARK: Queues

    /// Returns the number of a queue, which it creates if it does not exist.
    func queueNumber(_ name: String) throws -> Int64 {
        if let number = try existingQueue(name) { return number }
        try database.execute(
            sql: "INSERT INTO nsq_jobs_queue (name) VALUES (?)", arguments: [name])
        let number = database.lastInsertedRowID
        queues[name] = number
        queueNames[number] = name
        return number
    }

    func existingQueue(_ name: String) throws -> Int64? {
        if let number = queues[name] { return number }
        let select = try database.cachedStatement(
            sql: "SELECT id FROM nsq_jobs_queue WHERE name = ?")
        guard let number = try Int64.fetchOne(select, arguments: [name]) else { return nil }
        queues[name] = number
        queueNames[number] = name
        return number
    }

    func queueName(_ number: Int64) throws -> String {
        if let name = queueNames[number] { return name }
        let select = try database.cachedStatement(
            sql: "SELECT name FROM nsq_jobs_queue WHERE id = ?")
        let name = try String.fetchOne(select, arguments: [number]) ?? ""
        queueNames[number] = name
        return name
    }

    func isPaused(_ queue: Int64) throws -> Bool {
        if let pausedQueues { return pausedQueues.contains(queue) }
        let select = try database.cachedStatement(
            sql: "SELECT id FROM nsq_jobs_queue WHERE is_paused = 1")
        let paused = try Int64.fetchSet(select)
        pausedQueues = paused
        return paused.contains(queue)
    }

    func setPaused(_ isPaused: Bool, queue: String) throws {
        guard let number = try existingQueue(queue) else {
            throw JobsError(.unknownQueue, "unknown queue '\(queue)'")
        }
        try database.execute(
            sql: "UPDATE nsq_jobs_queue SET is_paused = ? WHERE id = ?",
            arguments: [isPaused, number])
        pausedQueues = nil
    }

    // MARK: Rows

    func row(_ id: JobID) throws -> JobRow? {
        let select = try statement(
            .select, "SELECT \(JobRow.columns) FROM nsq_jobs_job WHERE id = ?")
        return try JobRow.fetchOne(select, [id.number])
    }

    /// Writes the columns that a transition from `old` may have changed.
    func write(_ row: JobRow, from old: JobState) throws {
        var row = row
        let state = row.lifecycle.state
        if old != state {
            count(-1, queue: row.queue, old)
            count(1, queue: row.queue, state)
        }
        if let states = row.uniqueStates {
            row.isUnique = try states & 1 << state.rawValue != 0 && canLock(row)
        }
        let lifecycle = row.lifecycle
        let update = try statement(
            .update,
            """
            UPDATE nsq_jobs_job SET state = ?, version = ?, attempt = ?, max_attempts = ?,
                due_at = ?, publish_at = ?, publish_count = ?, lease_until = ?, worker_id = ?,
                is_cancel_requested = ?, started_at = ?, finished_at = ?, is_unique = ?, note = ?
            WHERE id = ?
            """)
        try update.execute(arguments: [
            state.rawValue, lifecycle.version, lifecycle.attempt, lifecycle.maxAttempts,
            lifecycle.dueAt.microseconds, row.publishAt, row.publishCount,
            lifecycle.lease?.end.nanoseconds, row.worker, lifecycle.isCancelRequested,
            lifecycle.startedAt?.microseconds, lifecycle.finishedAt?.microseconds,
            row.uniqueStates == nil ? nil : row.isUnique, row.note, row.id,
        ])
        try updateFailure(of: row.id, from: old, to: state)
    }

    /// Returns whether no other job has the lock of a unique job. A job that loses its lock continues
    /// without it, so that uniqueness never blocks a queue.
    private func canLock(_ row: JobRow) throws -> Bool {
        guard !row.isUnique, let lock = row.uniqueLock else { return row.isUnique }
        return try uniqueJob(lock) == nil
    }

    /// Returns the job that has a lock.
    func uniqueJob(_ lock: String) throws -> JobID? {
        let find = try statement(
            .findUnique, "SELECT id FROM nsq_jobs_job WHERE unique_lock = ? AND is_unique = 1")
        return try Int64.fetchOne(find, arguments: [lock]).map { JobID($0) }
    }
}
