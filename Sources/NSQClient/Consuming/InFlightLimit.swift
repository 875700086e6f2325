/// Determines how many messages may be in flight: none while no task requests messages, while the
/// consumer is paused, or during a wait after failures; one while a single message tests whether
/// processing works again; otherwise max-in-flight.
struct InFlightLimit: Sendable {
    /// The configured maximum of messages in flight.
    var maxInFlight: Int
    /// `true` while a task requests messages.
    var hasDemand: Bool
    /// `true` between `pause` and `resume`.
    var isPaused = false
    /// The backoff of the whole consumer.
    var backoff: FailureBackoff

    /// Creates a limit before any failure.
    ///
    /// - Parameters:
    ///   - maxInFlight: the configured maximum of messages in flight.
    ///   - hasDemand: whether messages are requested already.
    ///   - backoff: the backoff of the whole consumer.
    init(maxInFlight: Int, hasDemand: Bool, backoff: FailureBackoff) {
        self.maxInFlight = maxInFlight
        self.hasDemand = hasDemand
        self.backoff = backoff
    }

    /// The number of messages that may be in flight.
    var limit: Int {
        guard hasDemand, !isPaused else { return 0 }
        let limit = min(maxInFlight, ReadyDistribution.largestMaxInFlight)
        return min(backoff.limit ?? limit, limit)
    }
}
