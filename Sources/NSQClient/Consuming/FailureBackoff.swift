/// The part of a consumer that receives no messages for a while after a message has failed.
public enum BackoffScope: Sendable, Equatable {
    /// The whole consumer, as in go-nsq: for handlers that fail because of what they all use, such
    /// as a database.
    case consumer
    /// The nsqd that has sent the message: for messages that fail because of their content, when each
    /// nsqd has its own producers.
    case nsqd
    /// No part: failed messages are only delivered again after their delay.
    case none
}

/// The backoff after failures, with go-nsq's rules: each failure doubles the wait, and each success
/// of a test message halves it, until the full rate is reached again.
///
/// - SeeAlso: NSQ, “Building Client Libraries”, Backoff.
struct FailureBackoff: Sendable {
    /// The state of the backoff.
    enum Phase: Equatable, Sendable {
        /// Processing works.
        case none
        /// No messages are received after a failure.
        case waiting
        /// One message is received at a time.
        case testing
    }

    private(set) var phase = Phase.none
    private let multiplier: Duration
    private let longest: Duration
    /// The exponent of the wait. A failure raises it until the wait reaches `longest`, and a
    /// successful test message lowers it.
    private var level = 0

    /// Creates a backoff without failures.
    ///
    /// - Parameters:
    ///   - multiplier: the wait after the first failure is twice this duration.
    ///   - longest: the maximum wait; zero disables the backoff.
    init(multiplier: Duration, longest: Duration) {
        self.multiplier = multiplier
        self.longest = longest
    }

    /// Creates the backoff of a consumer, or of one of its nsqds.
    init(_ options: Consumer.Options) {
        self.init(multiplier: options.backoffMultiplier, longest: options.maxBackoff)
    }

    /// The maximum number of messages in flight; `nil` while processing works.
    var limit: Int? {
        switch phase {
        case .none: nil
        case .waiting: 0
        case .testing: 1
        }
    }

    /// Records that a message was processed or failed.
    ///
    /// - Returns: the wait that begins now; `nil` if none begins.
    mutating func record(isSuccess: Bool) -> Duration? {
        isSuccess ? recordSuccess() : recordFailure()
    }

    /// Records that a message failed. Failures of messages that were in flight when a wait began do
    /// not prolong it.
    private mutating func recordFailure() -> Duration? {
        guard longest > .zero, multiplier > .zero, phase != .waiting else { return nil }
        if wait(atLevel: level + 1) <= longest { level += 1 }
        phase = .waiting
        return min(wait(atLevel: max(level, 1)), longest)
    }

    private mutating func recordSuccess() -> Duration? {
        guard phase == .testing else { return nil }
        level = max(level - 1, 0)
        guard level > 0 else {
            phase = .none
            return nil
        }
        phase = .waiting
        return wait(atLevel: level)
    }

    /// Ends a wait: one message tests whether processing works.
    mutating func endWait() {
        if phase == .waiting { phase = .testing }
    }

    private func wait(atLevel level: Int) -> Duration {
        level < 32 ? multiplier * (1 << level) : longest
    }
}
