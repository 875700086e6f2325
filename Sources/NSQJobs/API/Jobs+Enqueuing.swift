import Foundation
import GRDB
import TallyJSON

extension Jobs {
    /// Stores a job. When the method returns, the job is committed, and it is published in the background.
    ///
    /// - Parameters:
    ///   - job: the job.
    ///   - delay: the time before the job runs; `nil` (the default) for at once.
    ///   - options: replaces the options of the type; `nil` (the default) for the options of the type.
    /// - Returns: whether the job is new, or another with the same unique key exists.
    /// - Throws: ``JobsError/Code/invalidArguments``, ``JobsError/Code/invalidName``,
    ///   ``JobsError/Code/invalidOption``, ``JobsError/Code/storeFailed``.
    @discardableResult
    public func enqueue(
        _ job: some Job, after delay: Duration? = nil, options: JobOptions? = nil
    ) async throws(JobsError) -> EnqueueReceipt {
        let now = clock.now()
        let new = try NewJob(job, options: options, dueAt: delay.map { now + $0 })
        return try await store([new], at: now)[0]
    }

    /// Stores a job that runs at a time, or at once if the time has passed.
    ///
    /// - Throws: the same errors as ``enqueue(_:after:options:)``.
    @discardableResult
    public func enqueue(
        _ job: some Job, at date: Date, options: JobOptions? = nil
    ) async throws(JobsError) -> EnqueueReceipt {
        let new = try NewJob(job, options: options, dueAt: JobTime(date))
        return try await store([new], at: clock.now())[0]
    }

    /// Stores many jobs, in transactions of up to 10,000 jobs.
    ///
    /// - Returns: one receipt for each job, in order.
    /// - Throws: the same errors as ``enqueue(_:after:options:)``. The jobs of earlier transactions are
    ///   stored.
    @discardableResult
    public func enqueue(
        contentsOf jobs: some Sequence<some Job>, after delay: Duration? = nil,
        options: JobOptions? = nil
    ) async throws(JobsError) -> [EnqueueReceipt] {
        let now = clock.now()
        var pending: Task<[EnqueueReceipt], any Error>?
        var receipts: [EnqueueReceipt] = []
        var part: [NewJob] = []
        // Each part of the jobs is encoded while the previous part is committed.
        func submit() async throws(JobsError) {
            receipts += try await result(of: pending)
            let jobs = part
            pending = jobs.isEmpty ? nil : Task { try await self.store(jobs, at: now) }
            part = []
        }
        for job in jobs {
            part.append(try NewJob(job, options: options, dueAt: delay.map { now + $0 }))
            if part.count == SQLiteJobStore.maxEnqueueCount { try await submit() }
        }
        try await submit()
        try await submit()
        return receipts
    }

    private func result(
        of task: Task<[EnqueueReceipt], any Error>?
    ) async throws(JobsError) -> [EnqueueReceipt] {
        do {
            return try await task?.value ?? []
        } catch {
            throw JobsError(storeError: error)
        }
    }

    /// Stores a job whose arguments are JSON.
    ///
    /// - Throws: the same errors as ``enqueue(_:after:options:)``;
    ///   ``JobsError/Code/invalidArguments`` if the arguments are not JSON.
    @discardableResult
    public func enqueue(_ job: NewJob) async throws(JobsError) -> EnqueueReceipt {
        try await enqueue(contentsOf: [job])[0]
    }

    /// Stores many jobs whose arguments are JSON, in transactions of up to 10,000 jobs.
    ///
    /// - Throws: the same errors as for a single job. The jobs of earlier transactions are stored.
    @discardableResult
    public func enqueue(contentsOf jobs: [NewJob]) async throws(JobsError) -> [EnqueueReceipt] {
        for job in jobs { try JobArguments.check(job.arguments, name: job.name) }
        return try await store(jobs, at: clock.now())
    }

    /// Stores a job within a transaction of the application. The job exists if the transaction is
    /// committed, and it is published after the commit.
    ///
    /// ```swift
    /// try await pool.write { database in
    ///     try user.insert(database)
    ///     try jobs.enqueue(FetchProfile(user: user.id), in: database)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - job: the job.
    ///   - database: the database of the store, which must be ``Store/sqlite(in:requiresSync:)``.
    ///   - delay: the time before the job runs; `nil` (the default) for at once.
    ///   - options: replaces the options of the type; `nil` (the default) for the options of the type.
    /// - Throws: the same errors as ``enqueue(_:after:options:)``.
    @discardableResult
    public func enqueue(
        _ job: some Job, in database: Database, after delay: Duration? = nil,
        options: JobOptions? = nil
    ) throws(JobsError) -> EnqueueReceipt {
        let now = clock.now()
        let new = try NewJob(job, options: options, dueAt: delay.map { now + $0 })
        return try enqueue([new], in: database, at: now)[0]
    }

    /// Stores many jobs within a transaction of the application.
    ///
    /// - Throws: the same errors as for a single job.
    @discardableResult
    public func enqueue(
        contentsOf jobs: some Sequence<some Job>, in database: Database,
        options: JobOptions? = nil
    ) throws(JobsError) -> [EnqueueReceipt] {
        var new: [NewJob] = []
        for job in jobs { new.append(try NewJob(job, options: options)) }
        return try enqueue(new, in: database, at: clock.now())
    }

    private func enqueue(
        _ jobs: [NewJob], in database: Database, at now: JobTime
    ) throws(JobsError) -> [EnqueueReceipt] {
        guard let sqlite = store as? SQLiteJobStore else {
            throw JobsError(.storeFailed, "the store of the jobs is not a database of SQLite")
        }
        let jobs = try middleware.prepared(jobs)
        guard jobs.allSatisfy({ $0.options.grade == .tracked }) else {
            throw JobsError(
                .invalidOption, "a fleeting job cannot be enqueued in a transaction")
        }
        let result = try sqlite.enqueue(jobs, in: database, at: now)
        let relay = broker?.relay
        database.afterNextTransaction { _ in relay?.jobsStored(result) }
        return result.receipts
    }

    private func store(
        _ jobs: [NewJob], at now: JobTime
    ) async throws(JobsError) -> [EnqueueReceipt] {
        var receipts: [EnqueueReceipt] = []
        var rest = try middleware.prepared(jobs)[...]
        if testing == nil { try checkFleeting(Array(rest), at: now) }
        while !rest.isEmpty {
            let part = Array(rest.prefix(SQLiteJobStore.maxEnqueueCount))
            rest = rest.dropFirst(part.count)
            receipts += try await middleware.enqueue(part) { part throws(JobsError) in
                try await storeOrPublish(part, at: now)
            }
        }
        try await testing?.jobsStored(self)
        return receipts
    }
}

extension Jobs {
    /// Stores the tracked jobs, and then publishes the fleeting ones, which are not stored.
    private func storeOrPublish(
        _ jobs: [NewJob], at now: JobTime
    ) async throws(JobsError) -> [EnqueueReceipt] {
        let isFleeting = jobs.map { testing == nil && $0.options.grade == .fleeting }
        guard isFleeting.contains(true) else { return try await storeTracked(jobs, at: now) }
        let tracked = zip(jobs, isFleeting).filter { !$1 }.map(\.0)
        let fleeting = zip(jobs, isFleeting).filter { $1 }.map(\.0)
        var stored = try await storeTracked(tracked, at: now)[...]
        var published = try await publishFleeting(fleeting, at: now)[...]
        return isFleeting.map { $0 ? published.removeFirst() : stored.removeFirst() }
    }

    private func storeTracked(
        _ jobs: [NewJob], at now: JobTime
    ) async throws(JobsError) -> [EnqueueReceipt] {
        guard !jobs.isEmpty else { return [] }
        let result = try await store.enqueue(jobs, publishing: broker?.policy, at: now)
        broker?.relay.jobsStored(result)
        return result.receipts
    }
}

/// Checks arguments that a program has passed as a JSON text.
enum JobArguments {
    /// The maximum depth of arrays and objects.
    private static let maxDepth = 512

    /// - Throws: ``JobsError/Code/invalidArguments`` if the text is not JSON.
    static func check(_ text: String, name: String) throws(JobsError) {
        do throws(JSONError) {
            _ = try JSONValue(parsingStrictly: Array(text.utf8), maxDepth: maxDepth)
        } catch {
            throw JobsError(
                .invalidArguments, "the arguments of job '\(name)' are not JSON: \(error)")
        }
    }
}
