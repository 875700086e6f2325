import NSQWire
import TallyBasics

/// The limits for topics, channels and connections. Lowering a limit does not affect topics,
/// channels and connections that already exist.
extension Broker {
    /// Returns `true` if the topic exists or may be created.
    package func hasCapacity(for topic: TopicName) -> Bool {
        options.maxTopics == 0 || topics.count < options.maxTopics || topics[topic] != nil
    }

    /// Returns `true` if the channel exists or may be created.
    package func hasCapacity(for channel: ChannelName, of topic: TopicName) -> Bool {
        let limit = options.maxChannelsPerTopic
        guard limit > 0, let topic = topics[topic], topic.channels.count >= limit else {
            return true
        }
        return topic.channel(channel) != nil
    }

    /// Returns `true` if each of the channels exists or may be created.
    func hasCapacity(forChannels names: [ChannelName], of topic: TopicName) -> Bool {
        let limit = options.maxChannelsPerTopic
        let topic = topics[topic]
        let missing = names.filter { topic?.channel($0) == nil }.count
        return limit == 0 || missing == 0 || (topic?.channels.count ?? 0) + missing <= limit
    }

    /// Returns the topic for a client's command, and creates it if necessary.
    ///
    /// - Throws: an error with `code` if the topic would exceed ``BrokerOptions/maxTopics``.
    func topic(
        _ name: TopicName, _ code: ProtocolError.Code, _ verb: Verb
    ) throws(ProtocolError) -> Topic {
        guard hasCapacity(for: name) else {
            throw ProtocolError(
                code,
                verb, "failed number of topics exceeds limit of \(options.maxTopics)")
        }
        return topic(name)
    }

    /// Returns the channel for a client's SUB, and creates it if necessary.
    ///
    /// - Throws: `E_SUB_FAILED` if the channel would exceed ``BrokerOptions/maxChannelsPerTopic``.
    func channel(
        _ name: ChannelName, ofTopic topicName: TopicName
    ) throws(ProtocolError) -> Channel {
        guard hasCapacity(for: name, of: topicName) else {
            throw ProtocolError(
                .subscribeFailed,
                .subscribe,
                "failed number of channels exceeds limit of \(options.maxChannelsPerTopic)"
            )
        }
        return channel(name, of: try topic(topicName, .subscribeFailed, .subscribe))
    }

    /// Closes the connection of a client that exceeds the limit, with an error that contains the
    /// limit.
    ///
    /// - Parameter limit: the largest allowed number of connections.
    package func refuse(_ session: Session, beyond limit: Int, at now: Timestamp) {
        context.setTime(now)
        let reason = "connection refused number of clients exceeds limit of \(limit)"
        fail(session, ProtocolError(.invalid, reason))
    }
}
