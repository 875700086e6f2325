import TallyBasics

/// The schedule for releasing unused memory and log space. All times are on the monotonic clock, in
/// nanoseconds.
struct MaintenanceSchedule {
    private var isScheduled = false
    private var nextMemoryReleaseAt: Int64 = 0
    private var nextIdleMarkAt: Int64 = 0

    /// The interval at which topics release unused memory.
    private static let memoryReleaseInterval = Duration.seconds(5)
    /// Spare slabs that stay unused for one to two of these intervals are released to the operating
    /// system. The interval is long enough that the next burst of messages finds slabs whose pages
    /// are already mapped.
    private static let idleInterval = Duration.seconds(30)
    /// The delay between two batches of released slabs, or between two relocated segments.
    private static let urgentInterval = Duration.milliseconds(20)

    /// Begins the scheduled maintenance. Afterwards, the next maintenance can be scheduled.
    mutating func begin() { isScheduled = false }

    /// Returns `true` if the interval has passed since this method last returned `true`.
    mutating func shouldReleaseMemory(at now: Int64) -> Bool {
        Self.isDue(&nextMemoryReleaseAt, Self.memoryReleaseInterval, now)
    }

    /// Returns `true` if the idle interval has passed since this method last returned `true`.
    mutating func shouldMarkIdle(at now: Int64) -> Bool {
        Self.isDue(&nextIdleMarkAt, Self.idleInterval, now)
    }

    /// Returns `true` if `now` has reached `next`, and then sets `next` to one interval after
    /// `now`.
    private static func isDue(_ next: inout Int64, _ interval: Duration, _ now: Int64) -> Bool {
        guard now >= next else { return false }
        next = now + interval.nanoseconds
        return true
    }

    /// Schedules the next maintenance.
    ///
    /// - Parameter isUrgent: `true` if more memory or log space can be released now.
    /// - Returns: the time of the maintenance; `nil` if it is already scheduled.
    mutating func schedule(isUrgent: Bool, at now: Int64) -> Int64? {
        guard !isScheduled else { return nil }
        isScheduled = true
        return now + (isUrgent ? Self.urgentInterval : Self.memoryReleaseInterval).nanoseconds
    }
}
