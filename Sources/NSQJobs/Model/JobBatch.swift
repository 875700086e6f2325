/// A group of jobs with a callback job. The callback is enqueued exactly once, when all jobs of the
/// group have ended, whatever their final states are.
public struct JobBatch: Hashable, Sendable, Identifiable {
    /// The identity of the batch. Batches and jobs get their IDs from the same sequence.
    public let id: JobBatchID
    /// `true` until ``Jobs/closeBatch(_:)``: further jobs are expected, so the batch cannot end yet.
    public let isOpen: Bool
    /// The number of its jobs.
    public let total: Int
    /// The number of jobs that are completed.
    public let completed: Int
    /// The number of jobs that are discarded.
    public let discarded: Int
    /// The number of jobs that are cancelled.
    public let cancelled: Int
    /// The callback job; `nil` if the batch has not ended, or has none.
    public let callback: JobID?
    /// The time of its creation.
    public let createdAt: JobTime
    /// The time at which all of its jobs had ended; `nil` before.
    public let endedAt: JobTime?

    /// The number of jobs that have not ended.
    public var pending: Int { max(0, total - completed - discarded - cancelled) }
}

/// The identity of a batch in its store.
public struct JobBatchID: Hashable, Sendable, Codable {
    /// The number.
    public let number: Int64

    /// Creates an ID from its number.
    public init(_ number: Int64) {
        self.number = number
    }
}

extension JobBatchID: LosslessStringConvertible {
    /// Parses decimal digits; `nil` if the text is not a positive number.
    public init?(_ description: String) {
        guard let number = Int64(description), number > 0 else { return nil }
        self.init(number)
    }

    /// The number in decimal digits.
    public var description: String { String(number) }
}

/// The change of the numbers of a batch in one transaction.
struct JobBatchChange: Hashable, Sendable {
    var total = 0
    var completed = 0
    var discarded = 0
    var cancelled = 0

    /// Records that a job leaves or enters a state.
    mutating func add(_ number: Int, in state: JobState) {
        switch state {
        case .completed: completed += number
        case .discarded: discarded += number
        case .cancelled: cancelled += number
        case .scheduled, .available, .running, .retryable: break
        }
    }
}
