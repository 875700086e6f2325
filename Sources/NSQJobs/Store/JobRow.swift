import GRDB
import TallyBasics

/// The columns of `nsq_jobs_job` that transitions read and change.
struct JobRow: StatementRow {
    static let columns = """
        id, queue_id, priority, state, version, attempt, max_attempts, due_at, publish_at, \
        publish_count, lease_until, worker_id, is_cancel_requested, started_at, finished_at, \
        unique_states, is_unique, unique_lock, note, hold, limit_key, \
        batch_id
        """
    static let columnCount: CInt = 22

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
    let limitKey: String?
    let batch: JobBatchID?

    init(_ columns: StatementColumns) {
        id = columns.integer(0)
        queue = columns.integer(1)
        priority = JobPriority(rawValue: columns.int(2)) ?? .normal
        publishAt = columns.integer(8)
        publishCount = columns.int(9)
        worker = columns.optional(11)
        let lease = columns.optional(10, as: Int64.self).map {
            JobLifecycle.Lease(
                worker: columns.integer(11), end: MonotonicInstant(nanoseconds: $0))
        }
        lifecycle = JobLifecycle(
            state: JobState(rawValue: columns.int(3)) ?? .discarded, attempt: columns.int(5),
            maxAttempts: columns.int(6), version: columns.int(4), dueAt: columns.time(7),
            lease: lease,
            hold: columns.optional(19, as: Int.self).flatMap(JobLifecycle.Hold.init(rawValue:)),
            isCancelRequested: columns.int(12) != 0, startedAt: columns.optionalTime(13),
            finishedAt: columns.optionalTime(14))
        uniqueStates = columns.optional(15)
        isUnique = columns.int(16) != 0
        uniqueLock = columns.optional(17)
        note = columns.optional(18)
        limitKey = columns.optional(20)
        batch = columns.optional(21, as: Int64.self).map { JobBatchID($0) }
    }

    /// Records that the job was not published in its new version.
    mutating func resetPublication() {
        publishAt = 0
        publishCount = 0
    }
}

/// All columns of a job.
struct StoredJob: StatementRow {
    static let columns =
        JobRow.columns
            + """
            , name, arguments, tags, unique_key, created_at, first_delay, max_delay, jitter, timeout, \
            output, trace_context
            """

    var row: JobRow
    private let name: String
    private let arguments: String
    private let tags: String?
    private let uniqueKey: String?
    private let createdAt: JobTime
    private var retry: JobRetryPolicy
    private let timeout: Duration?
    private let output: String?
    private let traceContext: String?

    init(_ columns: StatementColumns) {
        row = JobRow(columns)
        let first = JobRow.columnCount
        name = columns.text(first)
        arguments = columns.text(first + 1)
        tags = columns.optional(first + 2)
        uniqueKey = columns.optional(first + 3)
        createdAt = columns.time(first + 4)
        retry = JobRetryPolicy()
        if let delay = columns.optional(first + 5, as: Int64.self) {
            retry.firstDelay = .microseconds(delay)
        }
        if let delay = columns.optional(first + 6, as: Int64.self) {
            retry.maxDelay = .microseconds(delay)
        }
        if let jitter = columns.optional(first + 7, as: Double.self) { retry.jitter = jitter }
        timeout = columns.optional(first + 8, as: Int64.self).map { .microseconds($0) }
        output = columns.optional(first + 9)
        traceContext = columns.optional(first + 10)
    }

    /// The job for callers of the store.
    func record(queue: String) -> JobRecord {
        var retry = retry
        retry.maxAttempts = row.lifecycle.maxAttempts
        return JobRecord(
            id: JobID(row.id), queue: queue, name: name, arguments: arguments,
            priority: row.priority, tags: JobTags.decode(tags), uniqueKey: uniqueKey,
            limitKey: row.limitKey, batch: row.batch, createdAt: createdAt, retry: retry,
            timeout: timeout,
            note: row.note, output: output, traceContext: TraceContext.decode(traceContext),
            lifecycle: row.lifecycle)
    }
}

extension JobTime {
    init(_ microseconds: Int64) { self.init(microseconds: microseconds) }
}

extension Duration {
    /// The duration in whole microseconds, rounded up and saturated.
    var microsecondsRoundedUp: Int64 { (JobTime(microseconds: 0) + self).microseconds }
}
