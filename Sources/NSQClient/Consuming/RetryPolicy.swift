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

/// The options of ``Consumer/run(concurrency:retry:onGivenUp:_:)`` that a handler overrides by
/// throwing this error: the message is delivered again after `delay`, and the failure neither counts
/// for the backoff nor for the maximum number of attempts.
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

/// The reason why a message was given up that was delivered more often than allowed, because its
/// handlers never ended: for example, their processes crashed.
public struct TooManyAttempts: Error, Sendable, Equatable, CustomStringConvertible {
    /// The number of deliveries.
    public let attempts: Int

    /// A sentence for the log.
    public var description: String { "the message was delivered \(counted(attempts, "time"))" }
}
