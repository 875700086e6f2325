import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

@Suite(.blocking) struct `Topics that wait for an nsqlookupd` {
    private let topics = ["a", "b", "c"].map { TopicName($0)! }

    @Test func `are requested in the order of their creation, without deleted ones`() {
        var queue = LookupQueue()
        for (time, topic) in topics.enumerated() { queue.append(topic, at: Int64(time)) }
        queue.remove(topics[0])
        queue.remove(topics[1])
        queue.append(topics[1], at: 7)
        #expect(queue.popFirst() == .init(topic: topics[2], queuedAt: 2))
        #expect(queue.popFirst() == .init(topic: topics[1], queuedAt: 7))
        #expect(queue.popFirst() == nil)
    }
}
