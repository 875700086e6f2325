import NSQWire

/// An event that the server reports in its log output or to nsqlookupd.
package enum BrokerEvent: Equatable, Sendable {
    /// Messages of the topic could not be read from the message log.
    case messagesUnreadable(TopicName, MessageLogError)
    case topicCreated(TopicName)
    /// The topic and its channels were deleted.
    case topicDeleted(TopicName, channels: [ChannelName])
    case channelCreated(TopicName, ChannelName)
    case channelDeleted(TopicName, ChannelName)
    /// The topic was paused (`true`) or unpaused.
    case topicPaused(TopicName, Bool)
    /// The channel was paused (`true`) or unpaused.
    case channelPaused(TopicName, ChannelName, Bool)
    /// The broker sent an error to the client.
    case clientFailed(SessionID, ProtocolError)
    /// The broker closed the connection without an error frame.
    case connectionClosed(SessionID, reason: CloseReason)
}

/// The reason why the broker closes a connection without an error frame.
package enum CloseReason: String, Sendable {
    case missedHeartbeats = "no data for two heartbeat intervals"
    case noMagic = "no protocol magic in time"
    case stoppedReading = "client read nothing for one heartbeat interval"
    case lineTooLong = "command line too long"
    case channelDeleted = "channel deleted"
    case brokenLayer = "invalid TLS or compressed data"
}

/// The events since the last call of ``Broker/drainEvents()``.
final class EventBuffer {
    private var events: [BrokerEvent] = []

    func append(_ event: BrokerEvent) { events.append(event) }

    func drain() -> [BrokerEvent] {
        guard !events.isEmpty else { return [] }
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }
}
