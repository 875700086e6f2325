import TallyBasics

/// The calls of a store for the web page about the jobs. Each call reads a bounded number of rows,
/// however many jobs the store has.
package protocol JobInspection: Sendable {
    /// Returns the state of all queues, workers and failures.
    func snapshot() async throws(JobsError) -> JobSnapshot

    /// Returns the latest ended attempts of a job in order.
    func latestAttempts(of id: JobID, limit: Int) async throws(JobsError) -> [JobAttempt]

    /// Counts the jobs that a query selects, up to the bound of rows that one call may read.
    func preview(of query: JobQuery) async throws(JobsError) -> JobQueryPreview

    /// Stores an action that a person has requested on the page. Only the latest 1,000 actions are
    /// kept.
    func record(_ action: NewJobAction, at now: JobTime) async throws(JobsError)

    /// Returns actions, the latest first.
    ///
    /// - Parameters:
    ///   - before: the number of the last action of the previous page; `nil` for the first page.
    ///   - limit: the maximum number of actions.
    func actions(before: Int64?, limit: Int) async throws(JobsError) -> [JobAction]
}

/// The state of all queues, workers and failures.
package struct JobSnapshot: Sendable {
    /// The queues in the order of their names.
    package var queues: [QueueSnapshot] = []
    /// The workers that have not stopped, at most 200, the one with the most recent report first.
    package var workers: [WorkerSnapshot] = []
    /// The jobs that run, at most 5,000.
    package var running: [RunningJob] = []
    /// The groups of failed jobs, at most 50, the largest first.
    package var errors: [JobErrorGroup] = []

    package init() {}
}

/// One queue.
package struct QueueSnapshot: Sendable {
    /// The name, the numbers of jobs, and whether the queue is paused.
    package var counts: QueueCounts
    /// The earliest due time among the 20 available jobs with the lowest IDs, as an estimate for all
    /// available jobs; `nil` if none is available. It is not read for queues after the first 200.
    package var oldestDue: JobTime?
    /// The waits and durations of attempts since the store was created, by kind.
    package var timings: [JobTiming.Kind: JobTiming]

    package init(
        _ counts: QueueCounts, oldestDue: JobTime? = nil,
        timings: [JobTiming.Kind: JobTiming] = [:]
    ) {
        self.counts = counts
        self.oldestDue = oldestDue
        self.timings = timings
    }
}

/// One worker that has not stopped.
package struct WorkerSnapshot: Sendable {
    package let number: Int64
    package let name: String
    package let queues: [String]
    package let concurrency: Int
    package let startedAt: JobTime
    package let seenAt: JobTime
    /// The resident memory of its process in bytes, at the time of ``seenAt``; `nil` if it is unknown.
    package let memory: Int?
}

/// A job that runs.
package struct RunningJob: Sendable {
    package let id: JobID
    package let name: String
    package let queue: String
    package let worker: Int64
    package let attempt: Int
    package let startedAt: JobTime
    package let isCancelRequested: Bool
}

/// The number of jobs that a query selects.
package struct JobQueryPreview: Hashable, Sendable {
    package let count: Int
    /// `false` if there can be more.
    package let isComplete: Bool

    package init(count: Int, isComplete: Bool) {
        self.count = count
        self.isComplete = isComplete
    }
}

/// An ended change that a person has requested, such as a retry, before it is stored.
package struct NewJobAction: Hashable, Sendable {
    /// The name of the action, such as `retry`.
    package var action: String
    /// The jobs or the queue that the action concerned, as a text for people.
    package var target: String
    package var changed: Int
    /// The number of jobs whose state did not allow the change.
    package var unchanged: Int
    /// The reason why the action failed or ended early; `nil` if it was completed.
    package var error: String?

    package init(
        _ action: String, target: String, changed: Int = 1, unchanged: Int = 0,
        error: String? = nil
    ) {
        self.action = action
        self.target = target
        self.changed = changed
        self.unchanged = unchanged
        self.error = error
    }
}

/// A stored action.
package struct JobAction: Hashable, Sendable {
    package let number: Int64
    package let at: JobTime
    package let action: NewJobAction
}
