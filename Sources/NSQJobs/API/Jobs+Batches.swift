extension Jobs {
    // MARK: Jobs after others

    /// Stores a job that waits for the end of others.
    ///
    /// ```swift
    /// let parts = try await jobs.enqueue(contentsOf: parts.map(RenderPart.init))
    /// try await jobs.enqueue(JoinParts(), after: parts.map(\\.id))
    /// ```
    ///
    /// - Parameters:
    ///   - job: the job.
    ///   - ids: up to 100 jobs, which are stored already. Those that have ended count at once.
    ///   - onFailure: what happens if one of them is discarded or cancelled; the job is then cancelled by
    ///     default.
    ///   - options: replaces the options of the type; `nil` (the default) for those.
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

    /// Stores a batch and all of its jobs in one transaction. The callback is enqueued exactly once, in the
    /// transaction that ends the last of them.
    ///
    /// - Parameters:
    ///   - jobs: up to 10,000. One whose unique key is taken does not belong to the batch.
    ///   - callback: the job that is enqueued when all jobs have ended, however they did; it finds the
    ///     batch with ``JobContext/batch()``. `nil` (the default) for none.
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
        for job in jobs + (callback.map { [$0] } ?? []) {
            try job.validate()
            try JobArguments.check(job.arguments, name: job.name)
        }
        let (id, result) = try await store.enqueueBatch(jobs, then: callback, at: clock.now())
        broker?.relay.jobsStored(result)
        broker?.relay.jobsStored(due: nil)
        try await testing?.jobsStored(self)
        return (id, result.receipts)
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
        if let callback {
            try callback.validate()
            try JobArguments.check(callback.arguments, name: callback.name)
        }
        return try await store.createBatch(then: callback, at: clock.now())
    }

    /// Lets a batch end when its jobs have ended; at once if they have. Until then its own jobs can add
    /// further ones.
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
    /// Returns the batch whose callback this job is; `nil` if it is none.
    public func batch() async throws(JobsError) -> JobBatch? {
        try await store.batch(ofCallback: job.id)
    }
}
