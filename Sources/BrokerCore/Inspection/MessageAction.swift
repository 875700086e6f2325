import NSQWire

/// A change of one unfinished message of a channel. The change does not deliver the message, so the
/// number of deliveries stays the same.
package enum MessageAction: Sendable, Equatable {
    /// Finishes the message in the channel.
    case delete
    /// Makes the message deliverable at once, behind the messages that are deliverable already. The
    /// message is then neither deferred nor in flight.
    case requeue
    /// Defers the message from now on, for at most ``BrokerOptions/maxRequeueTimeout``.
    case `defer`(Duration)
    /// Publishes the body to another topic, and then finishes the message in the channel.
    case move(TopicName)
}
