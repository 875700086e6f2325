import TallyBasics

/// How long a job excludes other jobs of the same name and unique key, and what an enqueue does that
/// meets such a job.
public struct JobUniqueness: Hashable, Sendable {
    /// What an enqueue does that meets a job with the same key.
    public enum Conflict: Hashable, Sendable {
        /// Stores nothing, and returns the existing job.
        case keepExisting
        /// Replaces the arguments, the priority, the tags and the due time of the existing job if it
        /// waits, and returns it otherwise.
        case replaceWaiting
    }

    /// The states in which a job excludes others. By default all that are not final, so that a new job
    /// can be enqueued as soon as the earlier one has ended.
    public var states: Set<JobState>
    /// If not `nil`, a job excludes only those that were enqueued in the same window. The windows begin
    /// at 1970-01-01 00:00 UTC and have this length.
    public var window: Duration?
    /// What an enqueue does that meets a job with the same key.
    public var conflict: Conflict

    /// Creates a rule.
    public init(
        states: Set<JobState> = [.scheduled, .available, .running, .retryable],
        window: Duration? = nil, conflict: Conflict = .keepExisting
    ) {
        self.states = states
        self.window = window
        self.conflict = conflict
    }

    /// The text that at most one job at a time has in the store.
    package func lockText(name: String, key: String, enqueuedAt now: JobTime) -> String {
        // The name of a job contains no line feed, so different pairs give different texts.
        let text = name + "\n" + key
        guard let window, window >= .microseconds(1) else { return text }
        let length = window.nanoseconds / 1_000
        let number = now.microseconds.quotientRoundedDown(by: length)
        return text + "\n\(length):\(number)"
    }

    /// The states as one bit each, for a column of the store.
    package var stateBits: Int { states.reduce(0) { $0 | 1 << $1.rawValue } }
}

extension Int64 {
    fileprivate func quotientRoundedDown(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
