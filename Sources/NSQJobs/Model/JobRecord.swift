/// A job as it is stored.
public struct JobRecord: Hashable, Sendable, Identifiable {
    /// The identity of the job.
    public let id: JobID
    /// The queue of the job.
    public let queue: String
    /// The name of the job's type, by which workers find its handler.
    public let name: String
    /// The arguments as JSON. They can be encrypted, except in a ``JobContext``, which has them
    /// decrypted; see ``Jobs/decrypted(_:)``.
    public internal(set) var arguments: String
    /// The priority class.
    public let priority: JobPriority
    /// The labels of the job.
    public let tags: [String]
    /// The key that excludes other jobs; `nil` for none.
    public let uniqueKey: String?
    /// The key whose jobs share a limit of the queue; `nil` for none.
    public let limitKey: String?
    /// The batch to which the job belongs; `nil` for none.
    public let batch: JobBatchID?
    /// The time of the enqueue.
    public let createdAt: JobTime
    /// The state at the time of the reading.
    public var state: JobState { lifecycle.state }
    /// The number of started attempts that count toward ``maxAttempts``.
    public var attempt: Int { lifecycle.attempt }
    /// The maximum number of attempts.
    public var maxAttempts: Int { lifecycle.maxAttempts }
    /// The number of state changes, from 1.
    public var version: Int { lifecycle.version }
    /// The time before which the job does not run.
    public var dueAt: JobTime { lifecycle.dueAt }
    /// The reason why the job waits, other than its due time; `nil` for none.
    public var waitsFor: JobWait? { lifecycle.waitsFor }
    /// `true` if the cancellation of the running attempt was requested.
    public var isCancelRequested: Bool { lifecycle.isCancelRequested }
    /// The start of the latest attempt; `nil` before the first.
    public var startedAt: JobTime? { lifecycle.startedAt }
    /// The time at which the job became final; `nil` if it is not.
    public var finishedAt: JobTime? { lifecycle.finishedAt }
    /// The policy for retries after failed attempts.
    public let retry: JobRetryPolicy
    /// The maximum duration of an attempt; `nil` for none.
    public let timeout: Duration?
    /// The reason of the latest failure, interruption or missing handler; `nil` if there was none.
    public let note: String?
    /// The JSON that the job has stored as its result or progress; `nil` if it has stored none.
    public let output: String?

    /// The context of the trace in which the job was enqueued; see ``NewJob/traceContext``.
    public let traceContext: [String: String]

    package let lifecycle: JobLifecycle

    package init(
        id: JobID, queue: String, name: String, arguments: String, priority: JobPriority,
        tags: [String], uniqueKey: String?, limitKey: String? = nil,
        batch: JobBatchID? = nil, createdAt: JobTime,
        retry: JobRetryPolicy, timeout: Duration?, note: String?, output: String?,
        traceContext: [String: String] = [:], lifecycle: JobLifecycle
    ) {
        self.id = id
        self.queue = queue
        self.name = name
        self.arguments = arguments
        self.priority = priority
        self.tags = tags
        self.uniqueKey = uniqueKey
        self.limitKey = limitKey
        self.batch = batch
        self.createdAt = createdAt
        self.retry = retry
        self.timeout = timeout
        self.note = note
        self.output = output
        self.traceContext = traceContext
        self.lifecycle = lifecycle
    }
}

extension JobRecord {
    /// The claim under which the job runs; `nil` if it does not run.
    package var claim: JobClaim? { lifecycle.claim.map { JobClaim(id, $0) } }
}

/// An ended attempt that counts toward the job's maximum. An attempt does not count, and is not kept,
/// if the job was snoozed, had no handler, or was released by a worker that stopped.
public struct JobAttempt: Hashable, Sendable {
    /// How the attempt ended.
    public enum Result: Int, Hashable, Sendable, Codable {
        /// The job succeeded.
        case completed = 0
        /// The attempt failed.
        case failed = 1
        /// The handler discarded the job; see ``JobInterruption/discard(_:)``.
        case discarded = 2
        /// The job was cancelled.
        case cancelled = 3
        /// The worker did not renew its lease.
        case leaseExpired = 4
    }

    /// The number of the attempt, from 1.
    public let number: Int
    /// The name of the worker.
    public let worker: String
    /// The time of the claim.
    public let startedAt: JobTime
    /// The time at which the store recorded the end.
    public let endedAt: JobTime
    /// How the attempt ended.
    public let result: Result
    /// The text of the error or the reason; `nil` if there is none.
    public let error: String?

    package init(
        number: Int, worker: String, startedAt: JobTime, endedAt: JobTime, result: Result,
        error: String?
    ) {
        self.number = number
        self.worker = worker
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.result = result
        self.error = error
    }
}

extension JobAttempt.Result: CustomStringConvertible {
    /// The name of the result, such as `leaseExpired`.
    public var description: String {
        switch self {
        case .completed: "completed"
        case .failed: "failed"
        case .discarded: "discarded"
        case .cancelled: "cancelled"
        case .leaseExpired: "leaseExpired"
        }
    }
}
