import TallyBasics

/// The rule by which a job excludes other jobs of the same name and unique key, and the effect of
/// an enqueue of an excluded job.
public struct JobUniqueness: Hashable, Sendable {
    /// What an enqueue does if a job with the same key exists.
    public enum Conflict: Hashable, Sendable {
        /// Stores nothing, and returns the existing job.
        case keepExisting
        /// If the existing job waits, replaces its arguments, priority, tags and due time. Otherwise
        /// returns it unchanged.
        case replaceWaiting
    }

    /// The states in which a job excludes others. By default all states that are not final, so that a
    /// new job can be enqueued as soon as the earlier one has ended.
    public var states: Set<JobState>
    /// The length of a time window; `nil` for none. With a window, a job excludes only jobs that
    /// were enqueued in the same window. Time is divided into consecutive windows from 1970-01-01
    /// 00:00 UTC.
    public var window: Duration?
    /// What an enqueue does if a job with the same key exists.
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

    /// A text of the name, the key and the window, which at most one job in the store has at a time.
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
