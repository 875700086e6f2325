import NSQJobs

/// The data that the jobs page shows, as a value that every thread can read.
struct JobsPageState: Sendable {
    /// The time of the last successful reading.
    var time = JobTime(microseconds: 0)
    var snapshot = JobSnapshot()
    var history = JobsHistory()
    var operations: [JobBulkOperation] = []
    /// The latest entries of the action log, from the newest to the oldest.
    var actions: [JobAction] = []
    /// Why the store cannot be read; `nil` while it can.
    var problem: String?

    /// The number of actions on the page.
    static let maxActions = 20
}
