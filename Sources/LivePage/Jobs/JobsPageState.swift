import NSQJobs

/// What the page of the jobs shows, as a value that every thread can read.
struct JobsPageState: Sendable {
    /// The time of the last successful reading.
    var time = JobTime(microseconds: 0)
    var snapshot = JobSnapshot()
    var history = JobsHistory()
    var operations: [BulkOperation] = []
    /// The latest actions, the last one first.
    var actions: [JobAction] = []
    /// Why the store cannot be read; `nil` while it can.
    var problem: String?

    /// The number of actions on the page.
    static let maxActions = 20
}
