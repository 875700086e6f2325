import NSQWire
import TallyBasics

extension Broker {
    /// Sets the lifetime of a topic's messages until the topic is deleted or the broker stops.
    ///
    /// - Parameter lifetime: the time after which an undelivered message expires; zero if messages
    ///   do not expire.
    /// - Returns: `false` if the topic does not exist.
    package func setLifetime(
        _ lifetime: Duration, of topic: TopicName, at now: Timestamp
    ) -> Bool {
        context.setTime(now)
        guard let topic = topics[topic] else { return false }
        topic.setLifetime(lifetime)
        return true
    }

    /// The lifetimes of all topics in the order of their names; zero if messages do not expire.
    package var lifetimes: [(topic: TopicName, lifetime: Duration)] {
        topics.values.sorted { $0.name < $1.name }.map { ($0.name, .nanoseconds($0.lifetime)) }
    }
}
