import BrokerCore
import NSQWire
import Testing

@Suite struct `An ephemeral channel` {
    let broker = TestBroker { $0.memoryQueueSize = 10 }

    @Test func `is deleted with its last consumer`() {
        let one = broker.consumer(of: .brief)
        let other = broker.consumer(of: .brief)
        one.leave()
        #expect(broker.channel(.brief) != nil)
        other.leave()
        #expect(broker.channel(.brief) == nil)
        #expect(broker.topic() != nil, "the topic is not ephemeral")
    }

    @Test func `stays before its first consumer, until the last one disconnects`() {
        broker.control { core, now in
            core.createTopic(.plays, at: now)
            return core.createChannel(.brief, of: .plays, at: now)
        }
        broker.pass(.seconds(100))
        #expect(broker.channel(.brief) != nil)
        broker.consumer(of: .brief).leave()
        #expect(broker.channel(.brief) == nil)
    }

    @Test func `drops and counts new messages when it is full, while other channels keep them`() {
        let brief = broker.consumer(of: .brief)
        let lasting = broker.consumer(of: .count, ready: 100)
        let producer = broker.client()
        producer.multiPublish((1...7).map { "\($0)" })
        producer.multiPublish((8...30).map { "\($0)" })
        #expect(producer.take() == [.ok, .ok])
        #expect(broker.channel(.brief)?.depth == 10)
        #expect(broker.channel(.brief)?.messageCount == 30)
        brief.send(.ready(count: 3))
        let held = brief.takeMessages()
        #expect(held.map(\.text) == ["1", "2", "3"])
        producer.multiPublish((31...40).map { "\($0)" })
        brief.finish(held)
        brief.send(.ready(count: 100))
        #expect(brief.takeBodies() == (4...10).map { "\($0)" } + ["31", "32", "33"])
        #expect(lasting.takeBodies() == (1...40).map { "\($0)" })
    }

    @Test func `takes memory only for its queued messages after a long overflow`() {
        let consumer = broker.consumer(of: .brief)
        let producer = broker.client()
        let batch = (1...100).map { _ in [UInt8](repeating: 1, count: 1_000) }
        for _ in 1...300 { producer.multiPublish(batch) }
        broker.pass(.seconds(20))
        #expect(broker.channel(.brief)?.depth == 10)
        #expect(broker.statistics.usedMemoryBytes <= 2 << 20)
        consumer.send(.ready(count: 100))
        #expect(consumer.takeMessages().count == 10)
    }

    @Test func `delivers the messages before and after dropped ones in order`() {
        let consumer = broker.consumer(of: .brief, ready: 1)
        let producer = broker.client()
        var next = 0
        var got: [Int] = []
        for _ in 1...50 {
            producer.multiPublish((0..<15).map { "\(next + $0)" })
            next += 15
            for _ in 1...7 {
                let held = consumer.takeMessages()
                got += held.compactMap { Int($0.text) }
                consumer.finish(held)
            }
        }
        #expect(got == got.sorted())
        #expect(Set(got).count == 350)
    }
}

@Suite struct `An ephemeral topic` {
    let broker = TestBroker { $0.memoryQueueSize = 10 }

    @Test func `is deleted with its last channel`() {
        broker.consumer(of: .brief, .brief).leave()
        #expect(broker.statistics.topics == [])
        #expect(
            broker.core.drainEvents().suffix(2) == [
                .channelDeleted(.brief, .brief), .topicDeleted(.brief, channels: []),
            ])
    }

    @Test func `stays while it has a channel that is not ephemeral`() {
        broker.consumer(of: .count, .brief).leave()
        #expect(broker.topic(.brief) != nil)
        broker.control { $0.deleteChannel(.count, of: .brief, at: $1) }
        #expect(broker.topic(.brief) == nil)
    }

    @Test func `drops new messages when it is full and has no channel`() {
        let producer = broker.client()
        producer.multiPublish((1...7).map { "\($0)" }, to: .brief)
        producer.multiPublish((8...15).map { "\($0)" }, to: .brief)
        producer.publish("16", to: .brief)
        producer.publish("17", to: .brief, after: .milliseconds(1))
        #expect(producer.take() == [.ok, .ok, .ok, .ok])
        #expect(broker.topic(.brief)?.depth == 10)
        #expect(broker.topic(.brief)?.messageCount == 17)
        let consumer = broker.consumer(of: .count, .brief, ready: 100)
        broker.pass(.seconds(1))
        #expect(consumer.takeBodies() == (1...10).map { "\($0)" })
    }

    @Test func `drops new messages when it is full and paused`() {
        let consumer = broker.consumer(of: .count, .brief, ready: 100)
        let producer = broker.client()
        broker.control { $0.pauseTopic(.brief, true, at: $1) }
        for number in 1...15 { producer.publish("\(number)", to: .brief) }
        #expect(broker.topic(.brief)?.depth == 10)
        broker.control { $0.pauseTopic(.brief, false, at: $1) }
        #expect(consumer.takeBodies() == (1...10).map { "\($0)" })
        producer.multiPublish((1...15).map { "\($0)" }, to: .brief)
        #expect(consumer.takeMessages().count == 15, "what flows is not held")
    }
}
