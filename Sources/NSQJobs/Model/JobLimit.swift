/// The maximum number of jobs of a queue, or of a queue and a key, that run at the same time, and
/// the maximum number that start within a time window.
///
/// A job that must wait is ``JobState/scheduled``, and ``JobRecord/waitsFor`` is ``JobWait/limit``. It uses
/// no attempt and has no error. It is available again when it may start, before jobs of the same priority
/// that were claimed later.
public struct JobLimit: Hashable, Sendable {
    /// A maximum number of starts within a time window.
    public struct Rate: Hashable, Sendable {
        /// The maximum number of attempts that start within the window: 1 to 10,000.
        public var starts: Int
        /// The length of the window: 1 ms to 31 days. In any interval of this length, at most
        /// ``starts`` attempts start.
        public var window: Duration

        /// Creates a rate.
        public init(_ starts: Int, per window: Duration) {
            self.starts = starts
            self.window = window
        }
    }

    /// The maximum number of jobs that run at the same time: 1 to 10,000; `nil` (the default) for any.
    public var maxRunning: Int?
    /// The maximum number of starts within a time window; `nil` (the default) for any.
    public var rate: Rate?

    /// Creates a limit.
    public init(maxRunning: Int? = nil, rate: Rate? = nil) {
        self.maxRunning = maxRunning
        self.rate = rate
    }

    /// The largest number of jobs and of starts.
    package static let maxCount = 10_000
    private static let maxWindow = Duration.seconds(31 * 86_400)

    /// - Throws: ``JobsError/Code/invalidOption``.
    package func validate() throws(JobsError) {
        if let maxRunning, !(1...Self.maxCount).contains(maxRunning) {
            throw JobsError(
                .invalidOption,
                "the concurrency of a limit must be 1 to \(Self.maxCount), not \(maxRunning)")
        }
        guard let rate else { return }
        guard (1...Self.maxCount).contains(rate.starts) else {
            throw JobsError(
                .invalidOption,
                "the number of starts of a rate must be 1 to \(Self.maxCount), not \(rate.starts)")
        }
        guard (.milliseconds(1)...Self.maxWindow).contains(rate.window) else {
            throw JobsError(
                .invalidOption, "the window of a rate must be 1 ms to 31 days, not \(rate.window)")
        }
    }
}

/// The reason why a scheduled job waits, other than its due time.
public enum JobWait: Hashable, Sendable {
    /// A ``JobLimit`` of its queue or its key is reached.
    case limit
    /// The jobs of its ``JobDependencies`` have not ended.
    case jobs
}

extension JobWait: CustomStringConvertible {
    /// The name, such as `limit`.
    public var description: String {
        switch self {
        case .limit: "limit"
        case .jobs: "jobs"
        }
    }
}

/// The jobs that share a limit: those of a queue, or of a queue and a key.
package struct LimitScope: Hashable, Sendable {
    /// The number of the queue in the store.
    package let queue: Int64
    /// The key; `nil` for all jobs of the queue.
    package let key: String?

    package init(queue: Int64, key: String?) {
        self.queue = queue
        self.key = key
    }

    /// The hold of a job that waits for this limit.
    package var hold: JobLifecycle.Hold { key == nil ? .queueLimit : .keyLimit }
}

/// The use of a limit by one job.
package enum LimitSlot: Hashable, Sendable {
    case none
    /// The job has a slot and has not started.
    case reserved
    case running
}

extension JobLifecycle {
    package var waitsFor: JobWait? {
        switch hold {
        case .keyLimit, .queueLimit: .limit
        case .jobs: .jobs
        case .admitted, nil: nil
        }
    }

    /// Returns the job's use of the limit of a scope to which the job belongs.
    package func slot(in scope: LimitScope) -> LimitSlot {
        if state == .running { return .running }
        switch hold {
        case .admitted: return .reserved
        case .queueLimit: return scope.key == nil ? .none : .reserved
        case .keyLimit, .jobs, nil: return .none
        }
    }
}

/// The numbers of jobs that have a slot of a limit, running or reserved.
package struct LimitUse: Hashable, Sendable {
    package var running: Int
    package var reserved: Int

    package init(running: Int = 0, reserved: Int = 0) {
        self.running = running
        self.reserved = reserved
    }

    /// Records that a job's use of the limit has changed.
    package mutating func change(from old: LimitSlot, to new: LimitSlot) {
        add(-1, to: old)
        add(1, to: new)
    }

    private mutating func add(_ change: Int, to slot: LimitSlot) {
        switch slot {
        case .none: break
        case .reserved: reserved += change
        case .running: running += change
        }
    }
}

extension JobLimit {
    /// Whether a limit lets a further job start.
    package enum Availability: Hashable, Sendable {
        case free
        /// No further job starts before `until`; `nil` if the time depends on when other jobs end or
        /// start.
        case full(until: JobTime?)
    }

    /// Returns whether a further job may have a slot.
    ///
    /// - Parameter startOfRank: returns the time of a start by its rank, where 1 is the latest start;
    ///   `nil` if there were fewer starts.
    package func availability(
        _ use: LimitUse, at now: JobTime, startOfRank: (Int) throws -> JobTime?
    ) rethrows -> Availability {
        if let maxRunning, use.running + use.reserved >= maxRunning { return .full(until: nil) }
        guard let rate else { return .free }
        // Jobs that have reserved a slot start before a further job, so their starts count too.
        let rank = rate.starts - use.reserved
        guard rank > 0 else { return .full(until: nil) }
        guard let start = try startOfRank(rank) else { return .free }
        let end = min(start, now) + rate.window
        return end > now ? .full(until: end) : .free
    }
}
