import GRDB
import TallyBasics

/// The columns of `nsq_jobs_job` that transitions read and change.
struct JobRow {
    static let columns = """
        id, queue_id, priority, state, version, attempt, max_attempts, due_at, publish_at, \
        publish_count, lease_until, worker_id, is_cancel_requested, started_at, finished_at, \
        created_at, first_delay, max_delay, jitter, timeout, unique_states, is_unique, name, \
        unique_key, unique_lock, tags, note
        """
    /// The columns of ``record(queue:in:)``, which follow ``columns``.
    static let recordColumns = columns + ", arguments, output"

    let id: Int64
    let queue: Int64
    let priority: JobPriority
    var lifecycle: JobLifecycle
    var publishAt: Int64
    var publishCount: Int
    /// The worker of the latest attempt.
    var worker: Int64?
    let uniqueStates: Int?
    var isUnique: Bool
    let uniqueLock: String?
    var note: String?

    init(_ row: Row) {
        id = row[0]
        queue = row[1]
        priority = JobPriority(rawValue: row[2]) ?? .normal
        worker = row[11]
        publishAt = row[8]
        publishCount = row[9]
        let lease = (row[10] as Int64?).map {
            JobLifecycle.Lease(worker: row[11] ?? 0, end: MonotonicInstant(nanoseconds: $0))
        }
        lifecycle = JobLifecycle(
            state: JobState(rawValue: row[3]) ?? .discarded, attempt: row[5], maxAttempts: row[6],
            version: row[4], dueAt: JobTime(microseconds: row[7]), lease: lease,
            isCancelRequested: row[12], startedAt: (row[13] as Int64?).map { JobTime($0) },
            finishedAt: (row[14] as Int64?).map { JobTime($0) })
        uniqueStates = row[20]
        isUnique = row[21] ?? false
        uniqueLock = row[24]
        note = row[26]
    }

    /// The whole job, from a row with ``recordColumns``.
    static func record(_ row: Row, queue: String) -> JobRecord {
        let columns = JobRow(row)
        return record(row, columns, queue: queue)
    }

    /// The whole job, with changed columns.
    static func record(_ row: Row, _ columns: JobRow, queue: String) -> JobRecord {
        var retry = JobRetryPolicy(maxAttempts: columns.lifecycle.maxAttempts)
        if let delay = row[16] as Int64? { retry.firstDelay = .microseconds(delay) }
        if let delay = row[17] as Int64? { retry.maxDelay = .microseconds(delay) }
        if let jitter = row[18] as Double? { retry.jitter = jitter }
        return JobRecord(
            id: JobID(columns.id), queue: queue, name: row[22], arguments: row[27],
            priority: columns.priority, tags: JobTags.decode(row[25]), uniqueKey: row[23],
            createdAt: JobTime(microseconds: row[15]), retry: retry,
            timeout: (row[19] as Int64?).map { .microseconds($0) }, note: columns.note,
            output: row[28], lifecycle: columns.lifecycle)
    }
}

extension JobTime {
    init(_ microseconds: Int64) { self.init(microseconds: microseconds) }
}

extension Duration {
    /// The duration in whole microseconds, rounded up and saturated.
    var microsecondsRoundedUp: Int64 { (JobTime(microseconds: 0) + self).microseconds }
}
