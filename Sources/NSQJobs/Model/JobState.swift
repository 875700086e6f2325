/// The state of a job.
///
/// ```
///  scheduled ──due──▶ available ──claim──▶ running ──▶ completed
///      ▲                  ▲                   │ ├────▶ discarded
///      │ snooze           │ due               │ └────▶ cancelled
///      └──────────────────┼───────────────────┤
///                     retryable ◀──failure────┘
/// ```
///
/// Only an explicit request brings a job out of `completed`, `discarded` and `cancelled`.
public enum JobState: Int, CaseIterable, Sendable, Codable {
    /// The job waits for its due time.
    case scheduled = 0
    /// The job waits for a worker.
    case available = 1
    /// A worker holds the job's lease and performs it.
    case running = 2
    /// An attempt failed, and the job waits for the time of the next one.
    case retryable = 3
    /// An attempt succeeded.
    case completed = 4
    /// The last allowed attempt failed, or the job was discarded by its handler or by request.
    case discarded = 5
    /// The job was cancelled.
    case cancelled = 6

    /// `true` if the job never runs again without an explicit request.
    public var isFinal: Bool { rawValue >= JobState.completed.rawValue }

    /// `true` if the job waits for a time.
    public var isWaitingForTime: Bool { self == .scheduled || self == .retryable }
}

extension JobState: CustomStringConvertible, LosslessStringConvertible {
    /// Finds a state by its name.
    public init?(_ description: String) {
        guard let state = Self.allCases.first(where: { $0.description == description }) else {
            return nil
        }
        self = state
    }

    /// The name of the state, such as `retryable`.
    public var description: String {
        switch self {
        case .scheduled: "scheduled"
        case .available: "available"
        case .running: "running"
        case .retryable: "retryable"
        case .completed: "completed"
        case .discarded: "discarded"
        case .cancelled: "cancelled"
        }
    }
}
