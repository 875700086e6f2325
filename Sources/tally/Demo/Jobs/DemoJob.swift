import NSQJobs

/// A job of the demo. Its number is unique in the run.
struct DemoJob: Job {
    /// What the job does, and what the demo checks about it.
    enum Kind: String, Codable, CaseIterable {
        /// Succeeds, with high, normal or low priority.
        case plain
        /// Succeeds, and is due after a delay.
        case delayed
        /// Fails twice, and then succeeds.
        case failsTwice
        /// Fails in every attempt.
        case failsAlways
        /// Has a unique key that other enqueues have too.
        case unique
        /// Is stored in the transaction of a row that it reads.
        case transactional
        /// Is stored in a transaction that is rolled back.
        case rolledBack
        /// Runs in a worker process that is killed, and then in another one.
        case killed
        /// Is enqueued at each time of a schedule. All have the same number.
        case tick
    }

    /// The number of attempts of ``Kind/failsTwice``, and the maximum of ``Kind/failsAlways``.
    static let attempts = 3

    static let name = "demo"

    let kind: Kind
    let number: Int

    /// The demo registers a handler that has its log, so this one is not called.
    func perform(_ context: JobContext) async throws {}
}

/// A failure that a job of the demo is meant to have.
struct IntendedFailure: Error, CustomStringConvertible {
    let attempt: Int

    var description: String { "intended failure of attempt \(attempt)" }
}
