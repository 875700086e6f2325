import UVLoop

/// The way in which a test performs jobs, without NSQ and workers.
enum TestMode: Sendable {
    /// Each job is performed within its enqueue.
    case inline(JobHandlers)
    /// Jobs are performed by ``Jobs/drain(_:)``.
    case manual

    /// Performs the jobs that an enqueue has stored, in the inline mode.
    func jobsStored(_ jobs: Jobs) async throws(JobsError) {
        guard case .inline(let handlers) = self else { return }
        _ = try await jobs.drain(handlers)
    }
}

extension Jobs {
    /// Creates a `Jobs` object for a test that performs jobs with ``drain(_:)``, without NSQ.
    ///
    /// - Parameters:
    ///   - store: where the jobs are stored; in memory by default.
    ///   - middleware: code around the enqueue and the attempts; none by default.
    /// - Throws: ``JobsError/Code/storeUnusable``.
    public static func manual(
        store: Store = .memory, middleware: [any JobMiddleware] = []
    ) async throws(JobsError) -> Jobs {
        try await Jobs(
            store: store, testing: .manual, middleware: MiddlewareChain(middleware), clock: .system)
    }

    /// Creates a `Jobs` object for a test with a cipher.
    package static func manual(
        store: Store, cipher: any JobCipher
    ) async throws(JobsError) -> Jobs {
        try await Jobs(
            store: store, testing: .manual, middleware: MiddlewareChain([], cipher), clock: .system)
    }

    /// Creates a `Jobs` object for a test. Each enqueue performs its due jobs before it returns, and
    /// also the jobs that these jobs enqueue. Jobs of an enqueue within a transaction of the
    /// application wait for the next enqueue or ``drain(_:)``.
    ///
    /// - Parameters:
    ///   - store: where the jobs are stored; in memory by default.
    ///   - middleware: code around the enqueue and the attempts; none by default.
    ///   - register: registers the types of jobs.
    /// - Throws: ``JobsError/Code/storeUnusable``.
    public static func inline(
        store: Store = .memory, middleware: [any JobMiddleware] = [],
        _ register: (inout JobHandlers) -> Void
    ) async throws(JobsError) -> Jobs {
        var handlers = JobHandlers()
        register(&handlers)
        return try await Jobs(
            store: store, testing: .inline(handlers), middleware: MiddlewareChain(middleware),
            clock: .system)
    }

    /// Creates a `Jobs` object for a test that also controls the clock.
    package static func manual(store: Store, clock: JobClock) async throws(JobsError) -> Jobs {
        try await Jobs(store: store, testing: .manual, clock: clock)
    }

    /// Performs all due jobs, one after the other, and the jobs that they enqueue.
    ///
    /// - Parameter register: registers the types of jobs.
    /// - Returns: the performed jobs in order, in the state after their attempt.
    /// - Throws: ``JobsError/Code/storeFailed``.
    @discardableResult
    public func drain(
        _ register: (inout JobHandlers) -> Void
    ) async throws(JobsError) -> [JobRecord] {
        var handlers = JobHandlers()
        register(&handlers)
        return try await drain(handlers)
    }

    func drain(_ handlers: JobHandlers) async throws(JobsError) -> [JobRecord] {
        let worker = try await drainWorker()
        let performer = JobPerformer(
            handlers: handlers, middleware: middleware, store: store, clock: clock, logger: logger,
            unhandledDelay: .seconds(10))
        var performed: [JobRecord] = []
        while let job = try await nextJob(worker) {
            let outcome = await performer.perform(job, AttemptCancellation())
            if let outcome, let claim = job.claim {
                _ = try await store.settle([Settlement(claim, outcome)], at: clock.now())
            }
            if let ended = try await store.job(job.id) { performed.append(ended) }
        }
        return performed
    }

    /// Returns the number of the worker that all drains of this object use.
    private func drainWorker() async throws(JobsError) -> Int64 {
        if let number = drainWorkerNumber.withLock({ $0 }) { return number }
        let number = try await store.registerWorker(
            NewWorker(name: "drain", queues: [], concurrency: 1), at: clock.now())
        drainWorkerNumber.withLock { $0 = number }
        return number
    }

    private func nextJob(_ worker: Int64) async throws(JobsError) -> JobRecord? {
        let now = clock.now()
        while try await store.enqueueDueTicks(limit: 1_000, at: now) {}
        while try await store.makeDueJobsAvailable(limit: 1_000, at: now) == 1_000 {}
        return try await store.claimNext(
            limit: 1, worker: worker, lease: .seconds(3600), at: now
        ).first
    }

    /// Returns the arguments of all jobs of a type that have not ended, the latest first.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments`` if arguments cannot be decoded.
    public func enqueued<Work: Job>(_ type: Work.Type) async throws(JobsError) -> [Work] {
        var query = JobQuery(
            states: [.scheduled, .available, .running, .retryable], name: Work.name, limit: 1_000)
        var found: [Work] = []
        repeat {
            let page = try await jobs(matching: query)
            for job in page.jobs { found.append(try decrypted(job).decoded(as: type)) }
            query.before = page.next
        } while query.before != nil
        return found
    }
}
