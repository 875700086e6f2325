/// A change of all jobs that a query selects.
public enum JobBulkChange: Hashable, Sendable {
    /// ``Jobs/retry(_:)``
    case retry
    /// ``Jobs/cancel(_:)``
    case cancel
    /// ``Jobs/discard(_:)``
    case discard
    /// ``Jobs/edit(_:_:)``
    case edit(JobEdit)

    var change: JobChange {
        switch self {
        case .retry: .retry
        case .cancel: .cancel
        case .discard: .discard
        case .edit(let edit): .edit(edit)
        }
    }
}

/// The result of a change of many jobs.
public struct JobBulkResult: Hashable, Sendable {
    /// The number of changed jobs.
    public var changed = 0
    /// The number of jobs whose state does not allow the change.
    public var unchanged = 0

    package init() {}
}

extension Jobs {
    /// Changes all jobs that a query selects, in transactions of at most 500 jobs. Jobs that are enqueued
    /// meanwhile are not changed.
    ///
    /// - Parameters:
    ///   - query: its ``JobQuery/before`` and ``JobQuery/limit`` are ignored.
    ///   - change: the change.
    ///   - onProgress: is called after each transaction with the numbers so far.
    /// - Returns: the numbers of changed and unchanged jobs. If the task is cancelled, the rest of the
    ///   jobs is not changed.
    /// - Throws: the errors of the change of one job for values that are not valid;
    ///   ``JobsError/Code/storeFailed``, after which the jobs of earlier transactions are changed.
    @discardableResult
    public func changeAll(
        matching query: JobQuery, _ change: JobBulkChange,
        onProgress: (JobBulkResult) -> Void = { _ in }
    ) async throws(JobsError) -> JobBulkResult {
        if case .edit(let edit) = change {
            try edit.validate()
            guard edit.arguments == nil || middleware.cipher == nil else {
                throw JobsError(
                    .invalidOption, "encrypted arguments are changed one job after the other")
            }
        }
        var query = query
        query.before = nil
        query.limit = 500
        var result = JobBulkResult()
        repeat {
            let page = try await store.jobs(matching: query)
            let changed = try await store.changeAll(
                page.jobs.map(\.id), change.change, at: clock.now())
            result.changed += changed
            result.unchanged += page.jobs.count - changed
            onProgress(result)
            query.before = page.next
        } while query.before != nil && !Task.isCancelled
        broker?.relay.jobsStored(due: nil)
        return result
    }

    /// Returns the number of jobs that a query selects, for a preview of a change.
    ///
    /// - Parameters:
    ///   - query: its ``JobQuery/before`` and ``JobQuery/limit`` are ignored.
    ///   - limit: the number at which the counting ends.
    /// - Throws: ``JobsError/Code/storeFailed``.
    public func count(
        matching query: JobQuery, upTo limit: Int = 1_000_000
    ) async throws(JobsError) -> Int {
        // Stored counters answer a query that selects only queues and states, without reading jobs.
        guard query.isFiltered || query.errorGroup != nil || query.batch != nil else {
            let states = query.states.isEmpty ? Set(JobState.allCases) : query.states
            return min(
                limit,
                try await counts().filter { query.queue == nil || query.queue == $0.queue }
                    .reduce(0) { sum, queue in states.reduce(sum) { $0 + queue[$1] } })
        }
        var query = query
        query.before = nil
        query.limit = 1_000
        var count = 0
        repeat {
            let page = try await store.jobs(matching: query)
            count += page.jobs.count
            query.before = page.next
        } while query.before != nil && count < limit && !Task.isCancelled
        return min(count, limit)
    }
}
