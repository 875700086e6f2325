import NSQBroker

/// A fault that ``TestBroker/inject(_:)`` adds to a broker.
///
/// A fault happens to every command or message that it concerns, unless ``times(_:)`` or
/// ``withProbability(_:seed:)`` limits it:
///
/// ```swift
/// broker.inject(.refusePublishes(to: "plays").times(2))
/// broker.inject(.duplicateDeliveries().withProbability(0.1, seed: 7))
/// ```
public struct BrokerFault: Sendable {
    var rule: BrokerFaults.Rule

    private init(_ effect: BrokerFaults.Rule.Effect) {
        rule = BrokerFaults.Rule(effect)
    }

    /// Refuses publishes with `E_PUB_FAILED`, `E_MPUB_FAILED` or `E_DPUB_FAILED`, and closes the
    /// connection, as nsqd does when it cannot store messages. No message of the publish is accepted.
    /// Publishes over HTTP are not refused.
    ///
    /// - Parameters:
    ///   - topic: the topic whose publishes are refused; by default, every topic.
    ///   - isMatch: returns `true` for the body of a message whose publish is refused; a batch is
    ///     refused if one of its messages matches. By default, every message matches. The closure runs
    ///     on the broker's thread and must not call the broker.
    public static func refusePublishes(
        to topic: String? = nil, where isMatch: (@Sendable ([UInt8]) -> Bool)? = nil
    ) -> Self {
        Self(.refusePublish(topic: topic, isMatch: isMatch))
    }

    /// Delays the broker's answers (responses and errors) by a time on the broker's clock. Commands are
    /// executed without a delay, so a publish can exceed its timeout although its message is accepted.
    /// Heartbeats, and errors after which the broker closes the connection, are not delayed.
    public static func delayResponses(by delay: Duration) -> Self { Self(.delayResponse(delay)) }

    /// Delays messages to consumers by a time on the broker's clock. The timeout of a message starts
    /// before the delay, as when a network is slow.
    ///
    /// - Parameters:
    ///   - topic: the topic whose messages are delayed; by default, every topic.
    ///   - delay: the delay.
    public static func delayDeliveries(of topic: String? = nil, by delay: Duration) -> Self {
        Self(.delayDelivery(topic: topic, delay))
    }

    /// Delivers messages a second time: when a consumer finishes the first delivery, the broker
    /// requeues the message instead, as if the answer had come too late. The second delivery has a
    /// higher number of attempts, and can be to another consumer of the channel.
    ///
    /// - Parameter topic: the topic whose messages are delivered twice; by default, every topic.
    public static func duplicateDeliveries(of topic: String? = nil) -> Self {
        Self(.duplicateDelivery(topic: topic))
    }

    /// Returns the fault, limited to a number of times. A publish of a batch counts once.
    ///
    /// - Precondition: `count` is not negative.
    public func times(_ count: Int) -> Self {
        precondition(count >= 0, "a fault cannot happen \(count) times")
        var fault = self
        fault.rule.count = count
        return fault
    }

    /// Returns the fault, which then happens with a probability. The same seed makes the same decisions
    /// for the same sequence of commands or messages.
    ///
    /// - Parameters:
    ///   - probability: 0 to 1.
    ///   - seed: the seed of the random numbers.
    /// - Precondition: `probability` is from 0 to 1.
    public func withProbability(_ probability: Double, seed: UInt64) -> Self {
        precondition((0...1).contains(probability), "\(probability) is no probability")
        var fault = self
        fault.rule.probability = probability
        fault.rule.setSeed(seed)
        return fault
    }
}
