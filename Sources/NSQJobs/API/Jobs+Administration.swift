extension Jobs {
    // MARK: Reading

    /// Returns a job; `nil` if there is none with this ID.
    public func status(of id: JobID) async throws(JobsError) -> JobRecord? {
        try await store.job(id)
    }

    /// Returns the latest job of a type with a unique key; `nil` if there is none.
    public func status<Work: Job>(
        of type: Work.Type, uniqueKey: String
    ) async throws(JobsError) -> JobRecord? {
        try await status(ofName: Work.name, uniqueKey: uniqueKey)
    }

    /// Returns the latest job with this name and this unique key; `nil` if there is none.
    public func status(
        ofName name: String, uniqueKey: String
    ) async throws(JobsError) -> JobRecord? {
        try await store.latestJob(name: name, uniqueKey: uniqueKey)
    }

    /// Returns the ended attempts of a job that count toward its maximum, in order.
    public func attempts(of id: JobID) async throws(JobsError) -> [JobAttempt] {
        try await store.attempts(of: id)
    }

    /// Returns a page of a list of jobs.
    ///
    /// - Throws: ``JobsError/Code/invalidOption`` if the limit of the query is out of its range.
    public func jobs(matching query: JobQuery = JobQuery()) async throws(JobsError) -> JobPage {
        try await store.jobs(matching: query)
    }

    /// Returns the number of jobs in each state, for each queue by its name.
    public func counts() async throws(JobsError) -> [QueueCounts] {
        try await store.counts()
    }

    /// Returns the latest 1,000 workers, the latest first.
    public func workers() async throws(JobsError) -> [WorkerRecord] {
        try await store.workers()
    }

    // MARK: Changing jobs

    /// Makes a job available at once. The job must wait for a time, or have ended. A job without an
    /// attempt left gets one more.
    ///
    /// - Throws: ``JobsError/Code/unknownJob``; ``JobsError/Code/invalidTransition`` if the job is available
    ///   or runs.
    @discardableResult
    public func retry(_ id: JobID) async throws(JobsError) -> JobRecord {
        try await change(id, .retry)
    }

    /// Cancels a job. The task of a running job is cancelled after at most approximately
    /// ``JobWorker/Options/cancellationInterval``.
    ///
    /// - Returns: the job, which still runs if ``JobRecord/isCancelRequested`` is `true`.
    /// - Throws: ``JobsError/Code/unknownJob``; ``JobsError/Code/invalidTransition`` if the job has ended.
    @discardableResult
    public func cancel(_ id: JobID) async throws(JobsError) -> JobRecord {
        try await change(id, .cancel)
    }

    /// Discards a job that waits.
    ///
    /// - Throws: ``JobsError/Code/unknownJob``; ``JobsError/Code/invalidTransition`` if the job runs or has
    ///   ended.
    @discardableResult
    public func discard(_ id: JobID) async throws(JobsError) -> JobRecord {
        try await change(id, .discard)
    }

    /// Changes a job that waits.
    ///
    /// - Throws: ``JobsError/Code/unknownJob``; ``JobsError/Code/invalidTransition`` if the job runs or has
    ///   ended; ``JobsError/Code/invalidName``, ``JobsError/Code/invalidArguments`` or
    ///   ``JobsError/Code/invalidOption``, if a new value is not valid.
    @discardableResult
    public func edit(_ id: JobID, _ edit: JobEdit) async throws(JobsError) -> JobRecord {
        try edit.validate()
        return try await change(id, .edit(try await encrypted(edit, of: id)))
    }

    private func change(_ id: JobID, _ change: JobChange) async throws(JobsError) -> JobRecord {
        let job = try await store.change(id, change, at: clock.now())
        // Other jobs may have waited for the end of this job, or for its slot of a limit.
        broker?.relay.jobsStored(due: nil)
        return job
    }

    // MARK: Queues

    /// Pauses a queue: its jobs are stored, and none is started until ``resume(_:)``. Running jobs continue.
    ///
    /// - Throws: ``JobsError/Code/unknownQueue`` if no job was enqueued in it yet.
    public func pause(_ queue: String) async throws(JobsError) {
        try await store.setPaused(true, queue: queue)
    }

    /// Resumes a paused queue.
    ///
    /// - Throws: ``JobsError/Code/unknownQueue`` if no job was enqueued in it yet.
    public func resume(_ queue: String) async throws(JobsError) {
        try await store.setPaused(false, queue: queue)
        broker?.relay.jobsStored(due: nil)
    }

    /// Sets the limit of a queue, which applies to all programs from the next claim on. Running jobs
    /// continue.
    ///
    /// ```swift
    /// try await jobs.setLimit(JobLimit(maxRunning: 20), of: "mail")
    /// try await jobs.setLimit(JobLimit(rate: .init(5, per: .seconds(60))), of: "mail", perKey: true)
    /// ```
    ///
    /// - Parameters:
    ///   - limit: replaces the present limit; `nil` for none.
    ///   - queue: the name of the queue, which need not have jobs yet.
    ///   - isPerKey: `true` limits the jobs of each ``NewJob/limitKey``; `false` (the default) limits
    ///     all jobs of the queue together. A queue can have both limits. A limit per key does not apply
    ///     to jobs without a key.
    /// - Throws: ``JobsError/Code/invalidName``, ``JobsError/Code/invalidOption``.
    public func setLimit(
        _ limit: JobLimit?, of queue: String, perKey isPerKey: Bool = false
    ) async throws(JobsError) {
        try JobNames.check(queue: queue)
        try limit?.validate()
        try await store.setLimit(limit, queue: queue, isPerKey: isPerKey)
        broker?.relay.jobsStored(due: nil)
    }

    /// Deletes ended jobs and their attempts, in transactions of at most 1,000 rows; see also
    /// ``Configuration/pruning``.
    ///
    /// - Returns: the number of deleted jobs.
    @discardableResult
    public func prune(_ rule: PruneRule) async throws(JobsError) -> Int {
        try await store.pruneAll([rule], portion: 1_000, clock)
    }

    /// Returns the names of stored jobs that begin with a prefix, in order, for completion.
    ///
    /// - Parameters:
    ///   - prefix: empty (the default) for all names.
    ///   - limit: the maximum number of names: 1 to 1,000, 100 by default.
    /// - Throws: ``JobsError/Code/invalidOption``.
    public func names(
        withPrefix prefix: String = "", limit: Int = 100
    ) async throws(JobsError) -> [String] {
        guard (1...1_000).contains(limit) else {
            throw JobsError(.invalidOption, "the limit of names must be 1 to 1000, not \(limit)")
        }
        return try await store.names(prefix: prefix, limit: limit)
    }
}

extension JobEdit {
    /// - Throws: the error of the first value that is not valid.
    func validate() throws(JobsError) {
        // The new values must fulfil the rules for a new job.
        var options = JobOptions(tags: tags ?? [])
        if let queue { options.queue = queue }
        if let maxAttempts { options.retry.maxAttempts = maxAttempts }
        let arguments = arguments ?? "{}"
        try NewJob(name: "edit", arguments: arguments, options: options).validate()
        try JobArguments.check(arguments, name: "edit")
    }
}
