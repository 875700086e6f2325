/// A job to be enqueued, with JSON arguments. Use it for jobs whose type the program does not know; see
/// ``Jobs/enqueue(_:)-(NewJob)``.
public struct NewJob: Hashable, Sendable {
    /// The name of the job's type: 1 to 200 bytes without control characters.
    public var name: String
    /// The arguments as JSON: up to ``maxArgumentBytes``; `{}` by default.
    public var arguments: String
    /// The settings.
    public var options: JobOptions
    /// The key that excludes other jobs of the same name, by ``JobOptions/uniqueness``: 1 to 512 bytes;
    /// `nil` (the default) for none.
    public var uniqueKey: String?
    /// The key whose jobs share a ``JobLimit`` of their queue: 1 to 512 bytes, such as the number of a
    /// customer; `nil` (the default) for none.
    public var limitKey: String?
    /// The jobs whose end the job waits for; `nil` (the default) for none.
    public var dependencies: JobDependencies?
    /// The batch to which the job belongs, which must not have ended; `nil` (the default) for none.
    public var batch: JobBatchID?
    /// The time before which the job does not run; `nil` (the default) for the time of the enqueue.
    public var dueAt: JobTime?

    /// The context of the trace to which the attempts of the job belong, such as `traceparent` and
    /// `tracestate` of W3C Trace Context; empty (the default) for none. `JobTracing` sets it. A context of
    /// more than 16 values or 2 KiB is not stored.
    public var traceContext: [String: String] = [:]

    /// The maximum size of the arguments in bytes: 1 MiB.
    public static let maxArgumentBytes = 1 << 20

    /// Creates a job.
    public init(
        name: String, arguments: String = "{}", options: JobOptions = JobOptions(),
        uniqueKey: String? = nil, limitKey: String? = nil,
        dependencies: JobDependencies? = nil, batch: JobBatchID? = nil, dueAt: JobTime? = nil
    ) {
        self.name = name
        self.arguments = arguments
        self.options = options
        self.uniqueKey = uniqueKey
        self.limitKey = limitKey
        self.dependencies = dependencies
        self.batch = batch
        self.dueAt = dueAt
    }

    /// Checks all values, except whether the arguments are JSON.
    ///
    /// - Throws: ``JobsError`` with the code of the first value that is not valid.
    package func validate() throws(JobsError) {
        try JobNames.check(name: name)
        if let uniqueKey { try JobNames.check(key: uniqueKey, "a unique key") }
        if let limitKey { try JobNames.check(key: limitKey, "the key of a limit") }
        try dependencies?.validate()
        try options.validate()
        let size = arguments.utf8.count
        guard size <= Self.maxArgumentBytes else {
            throw JobsError(
                .invalidArguments,
                "the arguments of job '\(name)' have \(size) bytes, and at most "
                    + "\(Self.maxArgumentBytes) are allowed")
        }
    }
}

/// The result of an enqueue.
public struct EnqueueReceipt: Hashable, Sendable {
    /// What happened to the job.
    public enum Kind: Hashable, Sendable {
        /// The job was stored.
        case new
        /// A job with the same unique key exists, and nothing was stored.
        case existing
        /// A waiting job with the same unique key has got the new arguments, priority, tags and due time.
        case replaced
    }

    /// The stored or existing job.
    public let id: JobID
    /// What happened to the job.
    public let kind: Kind

    package init(_ id: JobID, _ kind: Kind) {
        self.id = id
        self.kind = kind
    }
}
