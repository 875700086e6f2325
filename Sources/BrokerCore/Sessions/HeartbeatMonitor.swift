/// The heartbeat timing of one connection: when a heartbeat is due, and when the broker closes the
/// connection because the client sends or reads nothing. All times are on the monotonic clock, in
/// nanoseconds.
struct HeartbeatMonitor {
    private var lastReceivedAt: Int64
    private var nextHeartbeatAt: Int64 = 0
    /// The time since which unsent bytes have been waiting for the client to read; `nil` if no bytes
    /// wait.
    private var blockedSince: Int64?
    private var timers = PendingTimers()

    init(connectedAt now: Int64) { lastReceivedAt = now }

    @inline(__always)
    mutating func didReceive(at now: Int64) { lastReceivedAt = now }

    mutating func didBlock(since start: Int64?) { blockedSince = start }

    /// Schedules the next heartbeat.
    mutating func restart(interval: Int64, at now: Int64) { nextHeartbeatAt = now + interval }

    func isHeartbeatDue(at now: Int64) -> Bool { nextHeartbeatAt <= now }

    /// Returns the time of the next heartbeat or timeout check.
    ///
    /// - Parameters:
    ///   - interval: the heartbeat interval.
    ///   - expectsData: `false` while the client cannot be expected to send data.
    func nextCheck(interval: Int64, expectsData: Bool) -> Int64 {
        expectsData ? min(nextHeartbeatAt, lastReceivedAt + 2 * interval) : nextHeartbeatAt
    }

    /// Returns the reason why the connection must be closed; `nil` if it stays open.
    func closeReason(interval: Int64, expectsData: Bool, at now: Int64) -> CloseReason? {
        guard interval > 0 else { return nil }
        if expectsData, now - lastReceivedAt >= 2 * interval { return .missedHeartbeats }
        if let blockedSince, now - blockedSince >= interval { return .stoppedReading }
        return nil
    }

    /// Returns `true` if the caller must schedule a timer for `deadline`.
    mutating func insertTimer(_ deadline: Int64) -> Bool { timers.insert(deadline) }

    mutating func removeFiredTimer() { timers.removeFired() }
}
