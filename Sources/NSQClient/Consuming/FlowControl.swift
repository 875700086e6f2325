/// Computes how many messages a consumer may have in flight: none while no task requests messages,
/// while the consumer is paused, or during a wait after failures; one while a single message tests
/// whether processing works again; otherwise max-in-flight.
///
/// The backoff follows go-nsq's rules: each failure doubles the wait, and each success of a test
/// message halves it, until the consumer has its full rate again.
///
/// - SeeAlso: NSQ, “Building Client Libraries”, Backoff.
struct FlowControl: Sendable {
    /// The state of the backoff.
    enum Backoff: Equatable, Sendable {
        /// Processing works.
        case none
        /// The consumer waits after a failure.
        case waiting
        /// The consumer receives one message at a time.
        case testing
    }

    /// The configured maximum of messages in flight.
    var maxInFlight: Int
    /// `true` while a task requests messages.
    var hasDemand: Bool
    /// `true` between `pause` and `resume`.
    var isPaused = false
    private(set) var backoff = Backoff.none

    private let multiplier: Duration
    private let longest: Duration
    /// The exponent of the wait. A failure raises it until the wait reaches `longest`, and a
    /// successful test message lowers it.
    private var level = 0

    /// Creates a flow control without failures.
    ///
    /// - Parameters:
    ///   - maxInFlight: the configured maximum of messages in flight.
    ///   - hasDemand: whether messages are requested already.
    ///   - multiplier: the wait after the first failure is twice this duration.
    ///   - longest: the maximum wait; zero disables the backoff.
    init(maxInFlight: Int, hasDemand: Bool, multiplier: Duration, longest: Duration) {
        self.maxInFlight = maxInFlight
        self.hasDemand = hasDemand
        self.multiplier = multiplier
        self.longest = longest
    }

    /// The number of messages that may be in flight.
    var limit: Int {
        guard hasDemand, !isPaused, backoff != .waiting else { return 0 }
        return backoff == .testing ? min(1, maxInFlight) : maxInFlight
    }

    /// Records that a message was processed or failed.
    ///
    /// - Returns: the wait that begins now; `nil` if none begins.
    mutating func record(isSuccess: Bool) -> Duration? {
        isSuccess ? recordSuccess() : recordFailure()
    }

    /// Records that a message failed. Failures of messages that were in flight when a wait began do
    /// not prolong it.
    ///
    /// - Returns: the wait that begins now; `nil` if none begins.
    private mutating func recordFailure() -> Duration? {
        guard longest > .zero, multiplier > .zero, backoff != .waiting else { return nil }
        if wait(atLevel: level + 1) <= longest { level += 1 }
        backoff = .waiting
        return min(wait(atLevel: max(level, 1)), longest)
    }

    /// Records that a message was processed.
    ///
    /// - Returns: the wait that begins now; `nil` if none begins.
    private mutating func recordSuccess() -> Duration? {
        guard backoff == .testing else { return nil }
        level = max(level - 1, 0)
        guard level > 0 else {
            backoff = .none
            return nil
        }
        backoff = .waiting
        return wait(atLevel: level)
    }

    /// Ends a wait: one message tests whether processing works.
    mutating func endWait() {
        if backoff == .waiting { backoff = .testing }
    }

    private func wait(atLevel level: Int) -> Duration {
        level < 32 ? multiplier * (1 << level) : longest
    }
}
