import NSQWire
import TallyBasics

/// The hand-over of messages to another broker, and the receipt of such messages.
///
/// A message is finished only after the other broker has acknowledged it. While a batch is sent,
/// the caller suspends the deliveries of its topic, so that no consumer receives the same messages.
extension Broker {
    /// The topics whose messages can be moved, in the order of their names, each with its number of
    /// ready and deferred messages.
    package var handOverCounts: [(topic: TopicName, count: Int)] {
        topics.values.filter { !$0.name.isEphemeral }.map { ($0.name, $0.handOverCount) }
            .filter { $0.1 > 0 }.sorted { $0.0 < $1.0 }
    }

    /// The channels of a topic that exist without a consumer, sorted by name.
    package func durableChannels(of topic: TopicName) -> [ChannelName] {
        topics[topic]?.sortedChannels.map(\.name).filter { !$0.isEphemeral } ?? []
    }

    /// Suspends or resumes the deliveries of a topic's channels that are not ephemeral.
    package func suspendDeliveries(_ isSuspended: Bool, of topic: TopicName, at now: Timestamp) {
        context.setTime(now)
        topics[topic]?.suspendDeliveries(isSuspended)
    }

    /// Returns the next messages of a topic that another broker can receive.
    ///
    /// - Parameter position: the position at which the search begins; advanced past the messages.
    ///   At the end of the topic, the caller begins a new search.
    package func nextHandOver(
        of topic: TopicName, from position: inout HandOverPosition, _ limits: HandOverLimits,
        at now: Timestamp
    ) -> HandOverSearch {
        context.setTime(now)
        guard let topic = topics[topic] else { return .end }
        return topic.nextHandOver(from: &position, limits)
    }

    /// Finishes messages that another broker has acknowledged.
    package func finishHandOver(_ batch: HandOverBatch, at now: Timestamp) {
        context.setTime(now)
        topics[batch.topic]?.finishHandedOver(batch)
        // The log records of the finished messages also show that the topic has dispatched these
        // messages. If a channel is created later in this iteration, its record must follow them;
        // otherwise recovery would dispatch the messages to the new channel.
        if batch.channels == nil { flushLog() }
    }

    // MARK: Receiving

    /// `true` if the topic has undispatched messages that are only for some of its channels.
    package func isDispatchingToSomeChannels(_ topic: TopicName) -> Bool {
        topics[topic].map { $0.undispatched.restrictedCount > 0 } ?? false
    }

    /// Publishes messages of another broker.
    ///
    /// - Parameters:
    ///   - messages: the bodies, whose sizes the caller has checked, and their remaining deferrals.
    ///   - channels: the channels that the topic has in the other broker. Missing ones are created.
    ///   - isForChannels: `true` if only these channels receive the messages.
    package func receiveHandOver(
        _ messages: [(body: Bytes, delay: Duration)], to name: TopicName, channels: [ChannelName],
        isForChannels: Bool, at now: Timestamp
    ) throws(HandOverRefusal) {
        context.setTime(now)
        if let publishRefusal { throw .publish(.refused(publishRefusal)) }
        guard hasCapacity(for: name), hasCapacity(forChannels: channels, of: name) else {
            throw .tooMany
        }
        let count = max(channels.count, topics[name]?.channels.count ?? 0)
        let overhead =
            Segment.byteCount(bodyBytes: 0)
            + UndispatchedMessages.deferredBytes(channelCount: count)
        guard
            hasMemory(
                toStore: messages.reduce(0) { $0 + $1.body.count },
                overhead: messages.count * overhead)
        else { throw .publish(.memoryIsFull) }
        let topic = topic(name)
        for channel in channels { _ = self.channel(channel, of: topic) }
        guard !isForChannels || !topic.holdsMessages else { throw .held }
        context.chargeCommand(messages.count * (1 + topic.channels.count * WorkCost.deferredCopy))
        for (body, delay) in messages {
            let deadline = now.monotonic.addingSaturated(delay.nanoseconds)
            if isForChannels {
                topic.publish(body, deferredUntil: deadline, for: channels)
            } else if delay > .zero {
                topic.publish(body, deferredUntil: deadline)
            } else {
                topic.publish(body)
            }
        }
    }
}

/// The reason why a broker refuses messages of another broker.
package enum HandOverRefusal: Error {
    case publish(PublishError)
    /// The broker would have more topics, or the topic more channels, than the limits allow.
    case tooMany
    /// The topic is paused, or waits for its channels in other brokers. It therefore cannot
    /// dispatch messages to only some of its channels.
    case held
}

extension Topic {
    /// The number of messages that are ready or deferred in the topic and in its channels that are not
    /// ephemeral.
    fileprivate var handOverCount: Int {
        channels.lazy.filter { !$0.name.isEphemeral }.reduce(holdsMessages ? depth : 0) {
            $0 + $1.depth + $1.deliveries.deferredCount
        }
    }
}
