/// Selects jobs, the latest first.
public struct JobQuery: Hashable, Sendable {
    /// The states; empty (the default) for all.
    public var states: Set<JobState>
    /// The queue; `nil` (the default) for all.
    public var queue: String?
    /// The name of the job's type; `nil` (the default) for all.
    public var name: String?
    /// A tag; `nil` (the default) for all jobs.
    public var tag: String?
    /// A text that occurs in the name, the arguments, the unique key, the tags or the latest error;
    /// `nil` (the default) for all jobs. The case of the letters A to Z is ignored.
    public var text: String?
    /// The number of a ``JobErrorGroup``; `nil` (the default) for all jobs.
    public var errorGroup: Int64?
    /// The batch; `nil` (the default) for all.
    public var batch: JobBatchID?
    /// Selects only jobs with a lower ID: the ``JobPage/next`` of the previous page; `nil` (the
    /// default) for the first page.
    public var before: JobID?
    /// The maximum number of jobs in a page: 1 to 1,000, 50 by default.
    public var limit: Int

    /// Creates a query.
    public init(
        states: Set<JobState> = [], queue: String? = nil, name: String? = nil, tag: String? = nil,
        batch: JobBatchID? = nil, before: JobID? = nil, limit: Int = 50, text: String? = nil,
        errorGroup: Int64? = nil
    ) {
        self.states = states
        self.queue = queue
        self.name = name
        self.tag = tag
        self.text = text
        self.errorGroup = errorGroup
        self.batch = batch
        self.before = before
        self.limit = limit
    }
}

/// A page of a list of jobs.
public struct JobPage: Hashable, Sendable {
    /// The jobs in descending order of their IDs. One call reads a bounded number of rows. So a page of
    /// a query with a name, a tag or a text can have fewer jobs than the limit, or none, although
    /// further pages have jobs.
    public let jobs: [JobRecord]
    /// The ``JobQuery/before`` of the next page; `nil` if this is the last page.
    public let next: JobID?
}

/// The number of jobs of one queue in each state.
public struct QueueCounts: Hashable, Sendable {
    /// The name of the queue.
    public let queue: String
    /// `true` if the jobs of the queue are not started.
    public let isPaused: Bool
    /// The limit of all jobs of the queue together; `nil` for none.
    public internal(set) var limit: JobLimit?
    /// The limit of the jobs of each ``NewJob/limitKey``; `nil` for none.
    public internal(set) var keyLimit: JobLimit?
    /// The number of scheduled jobs that wait for one of the limits; see ``JobWait/limit``.
    public internal(set) var waitingForLimit = 0
    private var counts: [JobState: Int]

    package init(queue: String, isPaused: Bool, counts: [JobState: Int]) {
        self.queue = queue
        self.isPaused = isPaused
        self.counts = counts
    }

    /// The number of jobs in a state.
    public internal(set) subscript(state: JobState) -> Int {
        get { counts[state] ?? 0 }
        set { counts[state] = newValue }
    }

    /// The number of jobs that are not final.
    public var unfinished: Int {
        JobState.allCases.reduce(0) { $0 + ($1.isFinal ? 0 : self[$1]) }
    }

    /// The number of all jobs.
    public var total: Int { counts.values.reduce(0, +) }
}

/// A worker process.
public struct WorkerRecord: Hashable, Sendable {
    /// The number of the worker in the store.
    public let number: Int64
    /// The name of the worker, by default the host and the process ID.
    public let name: String
    /// The queues from which it takes jobs.
    public let queues: [String]
    /// The maximum number of jobs that it performs at the same time.
    public let concurrency: Int
    /// The time of its start.
    public let startedAt: JobTime
    /// The time at which it last reported to the store.
    public let seenAt: JobTime
    /// The time at which the worker stopped, or at which another process found that it had ended;
    /// `nil` if neither is known.
    public let stoppedAt: JobTime?
    /// The jobs whose lease it holds, at most 1,000.
    public let runningJobs: [JobID]
}

/// New values for a job that waits; `nil` keeps the old value.
public struct JobEdit: Hashable, Sendable {
    /// The queue to which the job moves.
    public var queue: String?
    /// The arguments as JSON.
    public var arguments: String?
    /// The priority class.
    public var priority: JobPriority?
    /// The labels.
    public var tags: [String]?
    /// The time before which the job does not run.
    public var dueAt: JobTime?
    /// The maximum number of attempts.
    public var maxAttempts: Int?

    /// Creates an edit.
    public init(
        queue: String? = nil, arguments: String? = nil, priority: JobPriority? = nil,
        tags: [String]? = nil, dueAt: JobTime? = nil, maxAttempts: Int? = nil
    ) {
        self.queue = queue
        self.arguments = arguments
        self.priority = priority
        self.tags = tags
        self.dueAt = dueAt
        self.maxAttempts = maxAttempts
    }
}

/// A rule that selects final jobs for deletion.
public struct PruneRule: Hashable, Sendable {
    /// The final states; all by default.
    public var states: Set<JobState>
    /// Deletes jobs that became final longer than this time ago; `nil` (the default) for no age
    /// limit.
    public var olderThan: Duration?
    /// Deletes the oldest jobs until this number remains in each queue and state; `nil` (the default) for
    /// no limit of the number.
    public var keepingAtMost: Int?

    /// Creates a rule. A rule without an age and a number deletes nothing.
    public init(
        states: Set<JobState> = [.completed, .discarded, .cancelled], olderThan: Duration? = nil,
        keepingAtMost: Int? = nil
    ) {
        self.states = states
        self.olderThan = olderThan
        self.keepingAtMost = keepingAtMost
    }
}
