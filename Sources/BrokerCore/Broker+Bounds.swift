import NSQWire

/// How many topics, channels and connections there may be. What is there already stays, also if it
/// is more; what would be one too many is refused, with a reason.
extension Broker {
    /// There is such a topic, or may be.
    package func hasRoom(for topic: TopicName) -> Bool {
        options.maxTopics == 0 || topics.count < options.maxTopics || topics[topic] != nil
    }

    /// There is such a channel, or may be.
    package func hasRoom(for channel: ChannelName, of topic: TopicName) -> Bool {
        let limit = options.maxChannelsPerTopic
        guard limit > 0, let channels = topics[topic]?.channels, channels.count >= limit
        else { return true }
        return channels.contains { $0.name == channel }
    }

    /// The topic of this name for a client, which may be the first to name it.
    func topic(
        _ name: TopicName, _ code: ProtocolError.Code, _ verb: Verb
    ) throws(ProtocolError) -> Topic {
        guard hasRoom(for: name) else {
            throw ProtocolError(
                code,
                "\(verb.rawValue) failed number of topics exceeds limit of \(options.maxTopics)")
        }
        return topic(name)
    }

    /// The channel of this name for a client, which may be the first to name it.
    func channel(
        _ name: ChannelName, ofTopic topicName: TopicName
    ) throws(ProtocolError) -> Channel {
        guard hasRoom(for: name, of: topicName) else {
            throw ProtocolError(
                .subscribeFailed,
                "SUB failed number of channels exceeds limit of \(options.maxChannelsPerTopic)"
            )
        }
        return channel(name, of: try topic(topicName, .subscribeFailed, .subscribe))
    }

    /// Hangs up on a client that is one too many, and tells it why.
    package func refuse(_ session: Session, beyond limit: Int, at now: Moment) {
        turn.now = now
        let reason = "connection refused number of clients exceeds limit of \(limit)"
        fail(session, ProtocolError(.invalid, reason))
    }

    /// Clients that are connected.
    package var connectionCount: Int { allSessions.count }
}
