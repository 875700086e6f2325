import NSQJobs

/// A job of the demo. Its number is unique in the run.
struct DemoJob: Job {
    /// The behaviour of a job, which the demo checks.
    enum Kind: String, Codable, CaseIterable {
        /// Succeeds, with high, normal or low priority.
        case plain
        /// Succeeds, and is due after a delay.
        case delayed
        /// Fails twice, and then succeeds.
        case failsTwice
        /// Fails in every attempt.
        case failsAlways
        /// Is enqueued several times with the same unique key, and stored once.
        case unique
        /// Is stored in the same transaction as a row, which the job reads.
        case transactional
        /// Is stored in a transaction that is rolled back.
        case rolledBack
        /// Runs in a worker process that is killed, and then in another one.
        case killed
        /// Is enqueued at each time of a schedule. All these jobs have the same number.
        case tick
    }

    /// The number of attempts of ``Kind/failsTwice`` jobs, and the maximum number of attempts of
    /// ``Kind/failsAlways`` jobs.
    static let attempts = 3

    static let name = "demo"

    let kind: Kind
    let number: Int

    /// Never called: the demo registers a handler, which also records the start in a log.
    func perform(_ context: JobContext) async throws {}
}

/// The error with which a job of the demo fails on purpose.
struct IntendedFailure: Error, CustomStringConvertible {
    let attempt: Int

    var description: String { "intended failure of attempt \(attempt)" }
}
