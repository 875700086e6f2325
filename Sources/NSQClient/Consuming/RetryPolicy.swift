import TallyBasics

/// When and how often a failed message is delivered again.
public struct RetryPolicy: Sendable {
    /// The maximum number of deliveries of a message: 1 to 65,535, 5 by default as in go-nsq; 0 for no
    /// maximum. A message that fails in its last delivery is given up.
    public var maxAttempts = 5

    /// The delay after the first failed delivery; 90 s by default as in go-nsq. The delay doubles with
    /// each further delivery, and a random part of up to one half is subtracted.
    public var firstDelay = Duration.seconds(90)

    /// The maximum delay: 15 min by default as in go-nsq. nsqd limits it to its `--max-req-timeout`,
    /// an hour by default.
    public var maxDelay = Duration.seconds(900)

    /// Creates a policy with the default values.
    public init() {}

    /// Returns `true` if a message must not be delivered again after the delivery number `attempts`.
    func isExhausted(after attempts: Int) -> Bool { maxAttempts > 0 && attempts >= maxAttempts }

    /// Returns the delay after the failed delivery number `attempts`, without its random part.
    func fullDelay(after attempts: Int) -> Duration {
        let first = min(max(firstDelay, .zero), max(maxDelay, .zero))
        let doublings = max(attempts - 1, 0)
        guard doublings < 32, first < maxDelay / (1 << doublings) else {
            return max(maxDelay, .zero)
        }
        return first * (1 << doublings)
    }

    /// Returns the delay after the failed delivery number `attempts`.
    func delay(after attempts: Int) -> Duration {
        fullDelay(after: attempts) * Double.random(in: 0.5...1)
    }
}

/// A handler of ``Consumer/run(concurrency:retry:onGivenUp:_:)`` throws this error to override the
/// retry policy: the message is delivered again after `delay`, even after its last attempt, and the
/// backoff does not count a failure. nsqd counts the delivery as an attempt, so the next one can exceed
/// ``RetryPolicy/maxAttempts``.
public struct Requeue: Error, Sendable, Equatable {
    /// The time until nsqd delivers the message again, rounded up to milliseconds.
    public var delay: Duration

    /// Creates the error.
    ///
    /// - Parameter delay: the time until nsqd delivers the message again.
    public init(after delay: Duration) {
        self.delay = delay
    }
}

/// A handler throws this error to give up a message at once, because no further delivery can succeed.
public struct GiveUp: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reason, for the log.
    public var reason: String

    /// Creates the error.
    ///
    /// - Parameter reason: the reason, for the log.
    public init(_ reason: String) {
        self.reason = reason
    }

    /// The reason.
    public var description: String { reason }
}

/// The reason for giving up a message that was delivered more often than ``RetryPolicy/maxAttempts``,
/// for example because the process crashed during each attempt.
public struct TooManyAttempts: Error, Sendable, Equatable, CustomStringConvertible {
    /// The number of deliveries.
    public let attempts: Int

    /// A sentence for the log.
    public var description: String { "the message was delivered \(counted(attempts, "time"))" }
}
