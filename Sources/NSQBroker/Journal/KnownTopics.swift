import BrokerCore
import NSQWire

/// The topics and channels after the last written record. Each new journal file starts with a
/// snapshot of these topics and channels. Changes whose records are not written yet are not included,
/// because their records may be written to the new file, behind the snapshot.
struct KnownTopics {
    private var topics: [TopicName: Topic] = [:]

    /// A topic whose channels are found by name in constant time, because clients can create
    /// thousands of them.
    private struct Topic {
        var isPaused = false
        private var channels: [ChannelName: Channel] = [:]
        private var createdCount = 0

        private struct Channel {
            var isPaused: Bool
            /// The position in the order of creation.
            var order: Int
        }

        init() {}

        init(_ snapshot: TopicSnapshot) {
            isPaused = snapshot.isPaused
            for channel in snapshot.channels { create(channel.name, isPaused: channel.isPaused) }
        }

        /// Creates a channel unless it exists.
        mutating func create(_ name: ChannelName, isPaused: Bool = false) {
            guard channels[name] == nil else { return }
            channels[name] = Channel(isPaused: isPaused, order: createdCount)
            createdCount += 1
        }

        mutating func delete(_ name: ChannelName) { channels[name] = nil }

        mutating func pause(_ name: ChannelName, _ isPaused: Bool) {
            channels[name]?.isPaused = isPaused
        }

        func snapshot(named name: TopicName) -> TopicSnapshot {
            TopicSnapshot(
                name: name, isPaused: isPaused,
                channels: channels.sorted { $0.value.order < $1.value.order }
                    .map { .init(name: $0.key, isPaused: $0.value.isPaused) })
        }
    }

    /// All topics, sorted by name.
    var sorted: [TopicSnapshot] {
        topics.sorted { $0.key < $1.key }.map { $0.value.snapshot(named: $0.key) }
    }

    init(_ topics: [TopicSnapshot] = []) {
        for topic in topics { self.topics[topic.name] = Topic(topic) }
    }

    mutating func apply(_ change: LogRecord) {
        switch change {
        case .topicCreated(let name): create(name)
        case .topicDeleted(let name): topics[name] = nil
        case .topicPaused(let name, let isPaused): topics[name]?.isPaused = isPaused
        case .channelCreated(let topic, let name): topics[topic, default: Topic()].create(name)
        case .channelDeleted(let topic, let name): topics[topic]?.delete(name)
        case .channelPaused(let topic, let name, let isPaused):
            topics[topic]?.pause(name, isPaused)
        case .topicEmptied, .topicHeld, .topicStarted, .dispatched, .channelEmptied, .finished,
            .delivered, .deliveriesUpdated:
            break
        }
    }

    /// Creates a topic unless it exists.
    mutating func create(_ name: TopicName) {
        if topics[name] == nil { topics[name] = Topic() }
    }
}
