/// Code that runs around each enqueue and each attempt of a ``Jobs`` object, for example to report
/// metrics, or to change or refuse jobs.
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
/// ``Jobs/Configuration/middleware`` determines the order: the first is the outermost. All methods have
/// a default implementation without an effect.
public protocol JobMiddleware: Sendable {
    /// Changes or refuses a job before it is stored. The changed job is then validated. An enqueue
    /// within a transaction of the application calls this method too.
    ///
    /// - Throws: an error that refuses the job, and all other jobs of the same call.
    func prepare(_ job: inout NewJob) throws(JobsError)

    /// Enqueues prepared jobs by calling `next`. An enqueue within a transaction of the application
    /// does not call this method.
    ///
    /// - Parameters:
    ///   - jobs: the jobs of one call, at most 10,000.
    ///   - next: stores the jobs.
    /// - Returns: one receipt for each job, in order.
    func enqueue(
        _ jobs: [NewJob],
        _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
    ) async throws(JobsError) -> [EnqueueReceipt]

    /// Performs an attempt by calling `next`. A thrown error has the same effect as an error that
    /// ``Job/perform(_:)`` throws.
    func perform(
        _ context: JobContext, _ next: (JobContext) async throws -> Void
    ) async throws

    /// Observes that a ``JobGrade/fleeting`` job was discarded.
    ///
    /// - Parameters:
    ///   - job: the job in its last attempt.
    ///   - reason: the last error, or the reason why the job was discarded.
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
    /// Encrypts arguments; `nil` if they are stored as they are.
    let cipher: (any JobCipher)?

    init(_ all: [any JobMiddleware], _ cipher: (any JobCipher)? = nil) {
        self.all = all
        self.cipher = cipher
    }

    /// Prepares, validates and encrypts jobs.
    func prepared(_ jobs: [NewJob]) throws(JobsError) -> [NewJob] {
        var jobs = jobs
        for index in jobs.indices {
            for middleware in all { try middleware.prepare(&jobs[index]) }
            try jobs[index].validate()
            guard let cipher else { continue }
            let job = jobs[index]
            jobs[index].arguments = try cipher.stored(job.arguments, of: job.name)
            // Encrypted arguments are larger, so their size is checked again.
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

    /// Decrypts the arguments, and performs the job. If the stored arguments are encrypted, a decoding
    /// error is replaced by one without their values, because the store and the log keep errors as
    /// plain text.
    ///
    /// - Throws: `JobHandlers.UndecodableArguments` if the arguments cannot be decrypted.
    func perform(_ context: JobContext, _ handler: JobHandlers.Handler) async throws {
        var job = context.job
        do throws(JobsError) {
            job.arguments = try decrypted(job)
        } catch {
            throw JobHandlers.UndecodableArguments(reason: error.reason)
        }
        let isEncrypted = EncryptedArguments.isUsed(in: context.job.arguments)
        try await perform(context.replacing(job), from: 0) { context in
            do {
                try await handler(context)
            } catch let error as DecodingError where isEncrypted {
                throw DecodingFailure(error)
            } catch let error as JobHandlers.UndecodableArguments where isEncrypted {
                throw error.withoutValues
            }
        }
    }

    /// The arguments of a job as its handler receives them.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments`` if they cannot be decrypted.
    func decrypted(_ job: JobRecord) throws(JobsError) -> String {
        if let cipher { return try cipher.decrypted(job) }
        guard EncryptedArguments.isUsed(in: job.arguments) else { return job.arguments }
        throw .encrypted(job.arguments)
    }

    private func perform(
        _ context: JobContext, from index: Int, _ handler: JobHandlers.Handler
    ) async throws {
        guard index < all.count else { return try await handler(context) }
        try await all[index].perform(context) {
            try await perform($0, from: index + 1, handler)
        }
    }
}
