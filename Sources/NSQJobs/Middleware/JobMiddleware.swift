/// Code around the enqueue and the attempts of all jobs of a ``Jobs`` object, for example for metrics,
/// encryption of arguments or limits of a program.
///
/// ```swift
/// struct Timing: JobMiddleware {
///     func perform(
///         _ context: JobContext, _ next: (JobContext) async throws -> Void
///     ) async throws {
///         let start = ContinuousClock.now
///         defer { print("\(context.job.name): \(ContinuousClock.now - start)") }
///         try await next(context)
///     }
/// }
/// ```
///
/// ``Jobs/Configuration/middleware`` has the order: the first is the outermost. All methods have a default
/// implementation without an effect.
public protocol JobMiddleware: Sendable {
    /// Changes or refuses a job before it is stored. The changed job is validated then. An enqueue within a
    /// transaction of the application calls it too.
    ///
    /// - Throws: an error that refuses the job, and all others of the same call.
    func prepare(_ job: inout NewJob) throws(JobsError)

    /// Enqueues prepared jobs by calling `next`. An enqueue within a transaction of the application does
    /// not call it.
    ///
    /// - Parameters:
    ///   - jobs: the jobs of one call, at most 10,000.
    ///   - next: stores the jobs.
    /// - Returns: one receipt for each job, in order.
    func enqueue(
        _ jobs: [NewJob],
        _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
    ) async throws(JobsError) -> [EnqueueReceipt]

    /// Performs an attempt by calling `next`. What the method throws decides about the attempt, as it does
    /// for ``Job/perform(_:)``.
    func perform(
        _ context: JobContext, _ next: (JobContext) async throws -> Void
    ) async throws

    /// Observes that a ``JobGrade/fleeting`` job was given up.
    ///
    /// - Parameters:
    ///   - job: the job in its last attempt.
    ///   - reason: the last error, or why the job was given up.
    func discarded(_ job: JobRecord, reason: String)
}

extension JobMiddleware {
    /// Leaves the job as it is.
    public func prepare(_ job: inout NewJob) throws(JobsError) {}

    /// Calls `next`.
    public func enqueue(
        _ jobs: [NewJob],
        _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
    ) async throws(JobsError) -> [EnqueueReceipt] {
        try await next(jobs)
    }

    /// Calls `next`.
    public func perform(
        _ context: JobContext, _ next: (JobContext) async throws -> Void
    ) async throws {
        try await next(context)
    }

    /// Does nothing.
    public func discarded(_ job: JobRecord, reason: String) {}
}

/// The middleware of a `Jobs` object, in order.
struct MiddlewareChain: Sendable {
    private let all: [any JobMiddleware]

    init(_ all: [any JobMiddleware]) {
        self.all = all
    }

    /// Prepares and validates jobs.
    func prepared(_ jobs: [NewJob]) throws(JobsError) -> [NewJob] {
        var jobs = jobs
        for index in jobs.indices {
            for middleware in all { try middleware.prepare(&jobs[index]) }
            try jobs[index].validate()
        }
        return jobs
    }

    func discarded(_ job: JobRecord, reason: String) {
        for middleware in all { middleware.discarded(job, reason: reason) }
    }

    func enqueue(
        _ jobs: [NewJob], from index: Int = 0,
        _ store: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
    ) async throws(JobsError) -> [EnqueueReceipt] {
        guard index < all.count else { return try await store(jobs) }
        let receipts = try await all[index].enqueue(jobs) { jobs throws(JobsError) in
            try await enqueue(jobs, from: index + 1, store)
        }
        guard receipts.count == jobs.count else {
            throw JobsError(
                .invalidOption,
                "a middleware has returned \(receipts.count) receipts for \(jobs.count) jobs")
        }
        return receipts
    }

    func perform(
        _ context: JobContext, from index: Int = 0, _ handler: JobHandlers.Handler
    ) async throws {
        guard index < all.count else { return try await handler(context) }
        try await all[index].perform(context) {
            try await perform($0, from: index + 1, handler)
        }
    }
}
