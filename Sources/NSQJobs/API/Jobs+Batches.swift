extension Jobs {
    // MARK: Jobs after others

    /// Stores a job that waits for the end of other jobs.
    ///
    /// ```swift
    /// let parts = try await jobs.enqueue(contentsOf: parts.map(RenderPart.init))
    /// try await jobs.enqueue(JoinParts(), after: parts.map(\\.id))
    /// ```
    ///
    /// - Parameters:
    ///   - job: the job.
    ///   - ids: up to 100 stored jobs. If one of them has already ended, this takes effect at once.
    ///   - onFailure: what happens if one of the awaited jobs is discarded or cancelled; by default the
    ///     job is then cancelled.
    ///   - options: replaces the options of the type; `nil` (the default) for the options of the type.
    /// - Throws: ``JobsError/Code/unknownJob``; the errors of ``enqueue(_:after:options:)``.
    @discardableResult
    public func enqueue(
        _ job: some Job, after ids: [JobID],
        onFailure: JobDependencies.FailurePolicy = .cancel, options: JobOptions? = nil
    ) async throws(JobsError) -> EnqueueReceipt {
        var new = try NewJob(job, options: options)
        new.dependencies = JobDependencies(ids, onFailure: onFailure)
        return try await enqueue(new)
    }

    /// Returns the jobs for which a job waits; empty if it waits for none.
    public func dependencies(of id: JobID) async throws(JobsError) -> [JobID] {
        try await store.dependencies(of: id)
    }

    // MARK: Batches

    /// Stores a batch and all of its jobs in one transaction. The callback is enqueued exactly once, in
    /// the transaction that ends the last of these jobs.
    ///
    /// - Parameters:
    ///   - jobs: up to 10,000 jobs. A job whose unique key is taken does not belong to the batch.
    ///   - callback: the job that is enqueued when all jobs have ended, whatever their final states
    ///     are; `nil` (the default) for none. The callback finds the batch with ``JobContext/batch()``.
    /// - Throws: ``JobsError/Code/invalidOption`` for more jobs; the errors of
    ///   ``enqueue(_:after:options:)``.
    @discardableResult
    public func enqueueBatch(
        _ jobs: [NewJob], then callback: NewJob? = nil
    ) async throws(JobsError) -> (id: JobBatchID, receipts: [EnqueueReceipt]) {
        guard jobs.count <= SQLiteJobStore.maxEnqueueCount else {
            throw JobsError(
                .invalidOption,
                "a batch of one call can have \(SQLiteJobStore.maxEnqueueCount) jobs, not "
                    + "\(jobs.count) (open it, and add them in several calls)")
        }
        for job in jobs { try JobArguments.check(job.arguments, name: job.name) }
        let prepared = try middleware.prepared(jobs)
        guard testing != nil || prepared.allSatisfy({ $0.options.grade == .tracked }) else {
            throw JobsError(.invalidOption, "the jobs of a batch cannot be fleeting")
        }
        let callback = try preparedTemplate(callback, of: "the callback of a batch")
        var batch: JobBatchID?
        let receipts = try await middleware.enqueue(prepared) { jobs throws(JobsError) in
            let (id, result) = try await store.enqueueBatch(jobs, then: callback, at: clock.now())
            batch = id
            broker?.relay.jobsStored(result)
            broker?.relay.jobsStored(due: nil)
            return result.receipts
        }
        try await testing?.jobsStored(self)
        guard let batch else {
            throw JobsError(.invalidOption, "a middleware has not stored the jobs of a batch")
        }
        return (batch, receipts)
    }

    /// Prepares a job that is enqueued later: a callback, or the job of a schedule. The job keeps only
    /// a trace context that the caller has set, because the trace of this call has ended when the job
    /// is enqueued.
    ///
    /// - Parameter description: a description of the job for error messages.
    func preparedTemplate(
        _ job: NewJob?, of description: String
    ) throws(JobsError) -> NewJob? {
        guard let job else { return nil }
        try JobArguments.check(job.arguments, name: job.name)
        var prepared = try middleware.prepared([job])[0]
        prepared.traceContext = job.traceContext
        guard testing != nil || prepared.options.grade == .tracked else {
            throw JobsError(.invalidOption, "\(description) cannot be fleeting")
        }
        guard prepared.dependencies == nil, prepared.batch == nil else {
            throw JobsError(
                .invalidOption, "\(description) cannot wait for other jobs or belong to a batch")
        }
        return prepared
    }

    /// Stores a batch of jobs of one type; see ``enqueueBatch(_:then:)-([NewJob],_)``.
    @discardableResult
    public func enqueueBatch(
        _ jobs: [some Job], then callback: some Job
    ) async throws(JobsError) -> (id: JobBatchID, receipts: [EnqueueReceipt]) {
        var new: [NewJob] = []
        for job in jobs { new.append(try NewJob(job)) }
        return try await enqueueBatch(new, then: try NewJob(callback))
    }

    /// Creates a batch without jobs. Add them with ``NewJob/batch``, and call ``closeBatch(_:)`` then. A
    /// batch that is not closed never ends.
    public func openBatch(then callback: NewJob? = nil) async throws(JobsError) -> JobBatchID {
        let callback = try preparedTemplate(callback, of: "the callback of a batch")
        return try await store.createBatch(then: callback, at: clock.now())
    }

    /// Closes a batch, which then ends when all of its jobs have ended: at once if they have ended
    /// already. Until the batch ends, its jobs can add further jobs to it.
    ///
    /// - Throws: ``JobsError/Code/unknownBatch``.
    public func closeBatch(_ id: JobBatchID) async throws(JobsError) {
        try await store.closeBatch(id, at: clock.now())
        broker?.relay.jobsStored(due: nil)
    }

    /// Returns a batch with the numbers of its jobs; `nil` if there is none with this ID.
    public func batch(_ id: JobBatchID) async throws(JobsError) -> JobBatch? {
        try await store.batch(id)
    }
}

extension JobContext {
    /// Returns the batch of which this job is the callback; `nil` if this job is not a callback.
    public func batch() async throws(JobsError) -> JobBatch? {
        try await store.batch(ofCallback: job.id)
    }
}
