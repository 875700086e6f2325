import NSQWire

/// What is done to topics and channels from outside the protocol: over HTTP, or by the program
/// that the broker is embedded in.
extension Broker {
    package func createTopic(_ name: TopicName, at now: Moment) {
        turn.now = now
        _ = topic(name)
    }

    /// Gives a topic that is held since it came into being the channels that it has elsewhere; an
    /// ephemeral one comes only with its consumers. From now on it hands over what comes.
    package func startTopic(_ name: TopicName, with channels: [ChannelName], at now: Moment) {
        turn.now = now
        guard let topic = topics[name], topic.awaitsChannels else { return }
        for name in channels where !name.isEphemeral { _ = channel(name, of: topic) }
        topic.awaitsChannels = false
        if topic.isNoted { turn.note(.topicStarted(topic.name)) }
        turn.touch(topic)
    }

    /// Each topic by name, with its channels by theirs.
    package var topicNames: [(topic: TopicName, channels: [ChannelName])] {
        topics.values.sorted { $0.name < $1.name }.map { ($0.name, $0.channels.map(\.name)) }
    }

    /// - Returns: `false` if there is no such topic, here and below.
    package func createChannel(_ name: ChannelName, of topic: TopicName, at now: Moment) -> Bool {
        withTopic(topic, now) { _ = channel(name, of: $0) }
    }

    package func deleteTopic(_ name: TopicName, at now: Moment) -> Bool {
        withTopic(name, now) { delete($0) }
    }

    package func emptyTopic(_ name: TopicName, at now: Moment) -> Bool {
        withTopic(name, now) {
            $0.empty(turn)
            if $0.isNoted { turn.note(.topicEmptied(name)) }
        }
    }

    package func pauseTopic(_ name: TopicName, _ isPaused: Bool, at now: Moment) -> Bool {
        withTopic(name, now) {
            $0.pause(isPaused, turn)
            if $0.isNoted { turn.note(.topicPaused(name, isPaused)) }
            turn.events.append(.topicPaused(name, isPaused))
        }
    }

    /// - Returns: `false` if there is no such channel, here and below.
    package func deleteChannel(
        _ name: ChannelName, of topic: TopicName, at now: Moment
    ) -> Bool {
        withChannel(name, topic, now) { delete($0) }
    }

    package func emptyChannel(
        _ name: ChannelName, of topic: TopicName, at now: Moment
    ) -> Bool {
        withChannel(name, topic, now) {
            $0.empty(turn)
            if $0.isNoted { turn.note(.channelEmptied(topic, name)) }
        }
    }

    package func pauseChannel(
        _ name: ChannelName, of topic: TopicName, _ isPaused: Bool, at now: Moment
    ) -> Bool {
        withChannel(name, topic, now) {
            $0.pause(isPaused, turn)
            if $0.isNoted { turn.note(.channelPaused(topic, name, isPaused)) }
            turn.events.append(.channelPaused(topic, name, isPaused))
        }
    }

    private func withTopic(_ name: TopicName, _ now: Moment, _ body: (Topic) -> Void) -> Bool {
        turn.now = now
        guard let topic = topics[name] else { return false }
        writeNotes()
        body(topic)
        return true
    }

    private func withChannel(
        _ name: ChannelName, _ topicName: TopicName, _ now: Moment, _ body: (Channel) -> Void
    ) -> Bool {
        turn.now = now
        guard let topic = topics[topicName],
            let channel = topic.channels.first(where: { $0.name == name })
        else { return false }
        writeNotes()
        topic.handOver(turn)
        body(channel)
        return true
    }
}
