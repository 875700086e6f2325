import NSQWire
import TallyBasics

/// The operations of the HTTP API and of the program that embeds the broker: topics, channels and
/// publishing.
extension Broker {
    /// Creates a topic unless it exists.
    package func createTopic(_ name: TopicName, at now: Timestamp) {
        context.setTime(now)
        _ = topic(name)
    }

    /// Starts the dispatch of a topic that has held its messages since its creation (see
    /// ``holdsNewTopics``).
    ///
    /// - Parameter channels: the channels that the topic has in other brokers. These channels are
    ///   created in this broker as well, except ephemeral channels, which only a consumer creates.
    package func startTopic(_ name: TopicName, with channels: [ChannelName], at now: Timestamp) {
        context.setTime(now)
        guard let topic = topics[name], topic.awaitsChannels else { return }
        for name in channels where !name.isEphemeral { _ = channel(name, of: topic) }
        topic.startDispatching()
        if topic.isDurable { context.log.append(.topicStarted(topic.name)) }
        context.pending.add(topic)
    }

    /// The topics with their channels, both in the order of their names.
    package var topicAndChannelNames: [(topic: TopicName, channels: [ChannelName])] {
        topics.values.sorted { $0.name < $1.name }.map { ($0.name, $0.sortedChannels.map(\.name)) }
    }

    /// Creates a channel unless it exists.
    ///
    /// - Returns: `true` if the channel exists now; `false` if the topic does not exist.
    package func createChannel(_ name: ChannelName, of topic: TopicName, at now: Timestamp) -> Bool
    {
        withTopic(topic, now) { _ = channel(name, of: $0) }
    }

    /// Deletes a topic with its channels.
    ///
    /// - Returns: `false` if the topic does not exist.
    package func deleteTopic(_ name: TopicName, at now: Timestamp) -> Bool {
        withTopic(name, now) { delete($0) }
    }

    /// Discards the messages that the topic has not dispatched to its channels yet.
    ///
    /// - Returns: `false` if the topic does not exist.
    package func emptyTopic(_ name: TopicName, at now: Timestamp) -> Bool {
        withTopic(name, now) {
            $0.empty()
            if $0.isDurable { context.log.append(.topicEmptied(name)) }
        }
    }

    /// Pauses or unpauses a topic.
    ///
    /// - Parameter isPaused: `true` pauses the topic.
    /// - Returns: `false` if the topic does not exist.
    package func pauseTopic(_ name: TopicName, _ isPaused: Bool, at now: Timestamp) -> Bool {
        withTopic(name, now) {
            $0.pause(isPaused)
            if $0.isDurable { context.log.append(.topicPaused(name, isPaused)) }
            context.events.append(.topicPaused(name, isPaused))
        }
    }

    /// Deletes a channel with its messages, and closes the connections of its consumers.
    ///
    /// - Returns: `false` if the channel does not exist.
    package func deleteChannel(
        _ name: ChannelName, of topic: TopicName, at now: Timestamp
    ) -> Bool {
        withChannel(name, topic, now) { delete($0) }
    }

    /// Discards all messages of a channel.
    ///
    /// - Returns: `false` if the channel does not exist.
    package func emptyChannel(
        _ name: ChannelName, of topic: TopicName, at now: Timestamp
    ) -> Bool {
        withChannel(name, topic, now) {
            $0.topic.assignDispatchable()
            $0.empty()
            if $0.isDurable { context.log.append(.channelEmptied(topic, name)) }
        }
    }

    /// Pauses or unpauses a channel.
    ///
    /// - Parameter isPaused: `true` pauses the channel.
    /// - Returns: `false` if the channel does not exist.
    package func pauseChannel(
        _ name: ChannelName, of topic: TopicName, _ isPaused: Bool, at now: Timestamp
    ) -> Bool {
        withChannel(name, topic, now) {
            $0.pause(isPaused)
            if $0.isDurable { context.log.append(.channelPaused(topic, name, isPaused)) }
            context.events.append(.channelPaused(topic, name, isPaused))
        }
    }

    /// Calls `body` with the topic of this name.
    ///
    /// - Returns: `false` if the topic does not exist.
    private func withTopic(_ name: TopicName, _ now: Timestamp, _ body: (Topic) -> Void) -> Bool {
        context.setTime(now)
        guard let topic = topics[name] else { return false }
        flushLog()
        sendPublishReports()
        body(topic)
        return true
    }

    /// Calls `body` with the channel of this name.
    ///
    /// - Returns: `false` if the channel does not exist.
    private func withChannel(
        _ name: ChannelName, _ topicName: TopicName, _ now: Timestamp, _ body: (Channel) -> Void
    ) -> Bool {
        context.setTime(now)
        guard let topic = topics[topicName],
            let channel = topic.channel(name)
        else { return false }
        flushLog()
        sendPublishReports()
        body(channel)
        return true
    }

    // MARK: Publishing

    /// Returns `true` if a topic of this name exists.
    package func hasTopic(_ name: TopicName) -> Bool { topics[name] != nil }

    /// Publishes one message, whose size the caller has checked.
    package func publish(
        _ body: Bytes, to name: TopicName, deferredBy delay: Duration = .zero, at now: Timestamp
    ) throws(PublishError) {
        context.setTime(now)
        let deferredBytes =
            delay == .zero
            ? 0
            : UndispatchedMessages.deferredBytes(channelCount: topics[name]?.channels.count ?? 0)
        try expectCapacity(for: body.count, overhead: deferredBytes)
        let topic = topic(name)
        if delay == .zero {
            topic.publish(body)
        } else {
            topic.publish(body, deferredUntil: now.monotonic + delay.nanoseconds)
        }
    }

    /// Publishes the messages of an MPUB body.
    ///
    /// - Parameters:
    ///   - count: the number of messages in `batch`.
    ///   - batch: the messages, each after its size in four bytes. The caller has checked the
    ///     sizes.
    package func publish(
        _ count: Int, from batch: Bytes, to name: TopicName, at now: Timestamp
    ) throws(PublishError) {
        context.setTime(now)
        let topic = topic(name)
        guard count > 0 else { return }
        try expectCapacity(for: batch.count)
        topic.publish(count, from: batch)
    }

    private func expectCapacity(for bytes: Int, overhead: Int = 0) throws(PublishError) {
        if let publishRefusal { throw .refused(publishRefusal) }
        guard hasMemory(toStore: bytes, overhead: overhead) else { throw .memoryIsFull }
    }
}

/// The reason why the broker refuses a message.
package enum PublishError: Error {
    /// The broker is draining or stopping.
    case refused(PublishRefusal)
    /// The queued messages have reached ``BrokerOptions/maxMemoryBytes``.
    case memoryIsFull
}

/// The reason why a broker accepts no messages at all.
package enum PublishRefusal: Sendable, CustomStringConvertible {
    /// The broker delivers the queued messages, and ends when no message is left.
    case draining
    /// The broker is stopping.
    case stopping

    /// The text in the errors of publishers. For a stopping broker, nsqd has the same text.
    package var description: String { self == .draining ? "draining" : "exiting" }
}
