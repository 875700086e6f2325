import NSQWire

/// The number of messages that a session has published to each topic.
///
/// Consecutive publishes usually have the same topic, so the messages of the last topic are counted
/// outside the dictionary.
struct PublishCounts {
    private(set) var lastTopic: Topic?
    private var lastTopicCount = 0
    private var earlierCounts: [TopicName: Int] = [:]

    @inline(__always)
    mutating func add(_ count: Int, to topic: Topic) {
        if lastTopic !== topic { change(to: topic) }
        lastTopicCount += count
    }

    /// Releases the last topic, which would otherwise retain the session through the topic's
    /// channels.
    mutating func releaseTopic() { change(to: nil) }

    private mutating func change(to topic: Topic?) {
        if let lastTopic, lastTopicCount > 0 {
            earlierCounts[lastTopic.name, default: 0] += lastTopicCount
        }
        lastTopic = topic
        lastTopicCount = 0
    }

    var byTopic: [TopicName: Int] {
        var counts = earlierCounts
        if let lastTopic, lastTopicCount > 0 {
            counts[lastTopic.name, default: 0] += lastTopicCount
        }
        return counts
    }
}
