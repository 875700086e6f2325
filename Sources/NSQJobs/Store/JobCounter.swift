/// A number of jobs of a queue that the store keeps in `nsq_jobs_count`.
enum JobCounter: Hashable {
    /// The jobs in a state.
    case state(JobState)
    /// The jobs that wait for a ``JobLimit``. They also count as scheduled.
    case waitingForLimit

    /// The value of the column `state`.
    var column: Int {
        switch self {
        case .state(let state): state.rawValue
        case .waitingForLimit: 100
        }
    }

    /// - Parameter column: the value of the column `state`.
    init?(column: Int) {
        if let state = JobState(rawValue: column) {
            self = .state(state)
        } else if column == Self.waitingForLimit.column {
            self = .waitingForLimit
        } else {
            return nil
        }
    }
}
