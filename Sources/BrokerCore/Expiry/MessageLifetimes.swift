import NSQWire
import TallyBasics

/// The times after which undelivered messages expire.
package struct MessageLifetimes: Sendable, Equatable {
    /// The default lifetime, for topics that are not in ``byTopic``; zero if messages do not
    /// expire. It does not apply to failed sets.
    package var defaultLifetime = Duration.zero
    /// The lifetimes of single topics; zero if messages do not expire.
    package var byTopic: [TopicName: Duration] = [:]

    /// Creates lifetimes with which no message expires.
    package init() {}

    /// Returns the lifetime of a topic's messages; zero if they do not expire. The default lifetime
    /// does not apply to failed sets, because their messages usually have no consumer.
    package subscript(topic: TopicName) -> Duration {
        byTopic[topic] ?? (topic.isFailedSet ? .zero : defaultLifetime)
    }
}
