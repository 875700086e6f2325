/// The deadlines of one session's or channel's scheduled timers that have not fired.
///
/// A timer is scheduled only if it is earlier than all pending timers. Without this rule, the timer
/// queue would collect thousands of superfluous entries with late deadlines.
struct PendingTimers {
    // INVARIANT: the deadlines are strictly descending, so that the last one is the earliest.
    private var descendingDeadlines: [Int64] = []

    /// Adds a deadline if it is earlier than all pending deadlines.
    ///
    /// - Returns: `true` if the caller must schedule a timer for `deadline`.
    mutating func insert(_ deadline: Int64) -> Bool {
        guard deadline < descendingDeadlines.last ?? .max else { return false }
        descendingDeadlines.append(deadline)
        return true
    }

    mutating func removeFired() { descendingDeadlines.removeLast() }
}
