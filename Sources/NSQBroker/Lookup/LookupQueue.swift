import DequeModule
import NSQWire

/// Topics whose channels will be requested from nsqlookupd, in the order of their creation.
struct LookupQueue {
    struct Entry: Equatable {
        let topic: TopicName
        /// The time on the monotonic clock, in nanoseconds.
        let queuedAt: Int64
    }

    private var entries = Deque<Entry>()
    /// The topics that were not removed since they were added.
    private var topics: [TopicName: Int64] = [:]

    mutating func append(_ topic: TopicName, at now: Int64) {
        topics[topic] = now
        entries.append(Entry(topic: topic, queuedAt: now))
    }

    /// Removes a deleted topic. The entry of the topic is skipped later, so that the removal takes
    /// constant time.
    mutating func remove(_ topic: TopicName) { topics[topic] = nil }

    mutating func popFirst() -> Entry? {
        while let entry = entries.popFirst() {
            guard topics[entry.topic] == entry.queuedAt else { continue }
            topics[entry.topic] = nil
            return entry
        }
        return nil
    }
}
