import NSQClient

/// Determines which publishes nsqd may have lost, without I/O and clock.
///
/// An nsqd that ends loses the messages that it has in memory. The jobs that were published before
/// the loss of the connection are therefore published again, as soon as a connection to an nsqd
/// exists. A publish after the loss went to another nsqd, or has failed.
///
/// A process that starts an nsqd without messages publishes again what was published before its
/// start, because perhaps no running process has seen the end of the former nsqd.
struct LostPublishes: Hashable, Sendable {
    private var connections = 0
    private var lostAt: JobTime?

    /// - Parameter lostAt: the time before which all publishes may be lost; `nil` for none.
    init(lostAt: JobTime? = nil) { self.lostAt = lostAt }

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

    /// Removes the recorded loss. The caller must publish all jobs again that were published before
    /// the returned time.
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
