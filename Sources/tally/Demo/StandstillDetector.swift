/// Detects that a run of the demo makes no progress although plays were sent and not counted yet.
/// It reads no clock.
struct StandstillDetector {
    /// The counters of a run.
    struct Counters: Equatable {
        /// Whether the processor has subscribed to its channel.
        var isSubscribed = false
        /// The number of plays that the producer passed to its connection.
        var sent = 0
        /// The number of plays that nsqd has acknowledged.
        var published = 0
        /// The number of plays of the run that are counted, published and finished.
        var counted = 0

        /// Whether the run only waits for the time at which the next play is sent.
        fileprivate var isWaitingForRate: Bool {
            isSubscribed && sent == published && published == counted
        }
    }

    private let limit: Duration
    private let longestStep: Duration
    private var last = Counters()
    private var lastCheck: Duration
    private var timeWithoutProgress = Duration.zero

    /// - Parameters:
    ///   - limit: the maximum time without progress.
    ///   - longestStep: the maximum time that is added between two checks. If more time has passed,
    ///     the process or the machine was suspended, and the run could not make progress.
    ///   - now: the time since any origin.
    init(limit: Duration, longestStep: Duration, at now: Duration) {
        self.limit = limit
        self.longestStep = longestStep
        lastCheck = now
    }

    /// Compares the counters with those of the last call.
    ///
    /// - Returns: a description of the standstill if it has lasted for at least the limit; `nil`
    ///   otherwise.
    mutating func check(_ counters: Counters, at now: Duration) -> String? {
        timeWithoutProgress += min(now - lastCheck, longestStep)
        lastCheck = now
        if counters != last || counters.isWaitingForRate {
            last = counters
            timeWithoutProgress = .zero
        }
        guard timeWithoutProgress >= limit else { return nil }
        let state =
            counters.isSubscribed
            ? "\(counters.sent) plays sent, \(counters.published) acknowledged by nsqd, "
                + "\(counters.counted) counted"
            : "nsqd has not answered the subscription"
        return "no progress for \(limit): \(state)"
    }
}
