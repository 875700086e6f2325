import BrokerCore
import NSQWire

/// The topics and channels that there are by what the journal has been told so far. Each file begins
/// with them: they are those of its moment, and not of one that notes on their way lead to.
struct KnownTopics {
    private var topics: [TopicName: NotedTopic] = [:]

    /// By name.
    var list: [NotedTopic] { topics.values.sorted { $0.name < $1.name } }

    init(_ topics: [NotedTopic] = []) {
        for topic in topics { self.topics[topic.name] = topic }
    }

    mutating func take(_ change: LedgerChange) {
        switch change {
        case .topicCreated(let name): create(name)
        case .topicDeleted(let name): topics[name] = nil
        case .topicPaused(let name, let isPaused): topics[name]?.isPaused = isPaused
        case .channelCreated(let topic, let name):
            create(topic)
            guard place(of: name, topic) == nil else { return }
            topics[topic]!.channels.append(.init(name: name, isPaused: false))
        case .channelDeleted(let topic, let name):
            topics[topic]?.channels.removeAll { $0.name == name }
        case .channelPaused(let topic, let name, let isPaused):
            guard let place = place(of: name, topic) else { return }
            topics[topic]!.channels[place].isPaused = isPaused
        case .topicEmptied, .topicHeld, .topicStarted, .handedOver, .channelEmptied, .finished,
            .delivered, .returned:
            break
        }
    }

    /// The topic comes into being if there is none, as with the broker.
    mutating func create(_ name: TopicName) {
        guard topics[name] == nil else { return }
        topics[name] = NotedTopic(name: name, isPaused: false, channels: [])
    }

    private func place(of channel: ChannelName, _ topic: TopicName) -> Int? {
        topics[topic]?.channels.firstIndex { $0.name == channel }
    }
}
