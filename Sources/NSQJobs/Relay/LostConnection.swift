import NSQClient

/// Which publishes nsqd may have lost, as a pure value.
///
/// An nsqd that ends loses the messages that it has in memory. Their jobs are published again as soon as
/// a connection to an nsqd exists: those that were published before the loss of the connection. What is
/// published after it went to another nsqd, or has failed.
struct LostConnection: Hashable, Sendable {
    private var connections = 0
    private var lostAt: JobTime?

    /// Records a change of the producer's connections.
    mutating func record(_ change: ConnectionChange, at now: JobTime) {
        switch change {
        case .established: connections += 1
        case .lost:
            connections -= 1
            lostAt = now
        }
    }

    /// `true` if jobs are to be published again, and a connection exists.
    var isRepairable: Bool { connections > 0 && lostAt != nil }

    /// Ends the repair. Jobs that were published before the returned time are to be published again.
    ///
    /// - Returns: `nil` if there is nothing to repair, or no connection.
    mutating func startRepair() -> JobTime? {
        guard isRepairable else { return nil }
        defer { lostAt = nil }
        return lostAt
    }

    /// Records that the repair has failed, and is to be repeated.
    mutating func repairFailed(_ time: JobTime) {
        lostAt = max(lostAt ?? time, time)
    }
}
