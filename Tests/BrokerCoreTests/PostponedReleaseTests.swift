import BrokerCore
import NSQWire
import Testing

/// Topics with many channels, whose memory is released in steps. `TestBroker` runs further iterations as
/// long as the broker has postponed work.
@Suite struct `The release of the memory of many channels` {
    private let broker = TestBroker { $0.stepsPerIteration = 100 }

    init() {
        broker.iteration {
            for number in 1...200 { broker.core.createChannel("channel\(number)", of: .plays) }
        }
    }

    private func continuations(_ body: () -> Void) -> Int {
        let before = broker.iterationCount
        broker.iteration(body)
        return broker.iterationCount - before - 1
    }

    @Test func `is postponed when their topic is deleted, and ends`() {
        let consumer = broker.consumer(of: .count, ready: 1)
        let producer = broker.client()
        producer.publish("play")
        producer.publish("later", after: .seconds(600))
        #expect(consumer.takeMessages().count == 1)
        let count = continuations { broker.control { $0.deleteTopic(.plays, at: $1) } }
        #expect(count >= 200 * 20 / 100)
        #expect(consumer.isDisconnected)
        #expect(!broker.core.hasPostponedWork)
        broker.pass(.seconds(60))
        #expect(broker.statistics.topics == [])
        #expect(broker.statistics.usedMemoryBytes == 0)
        #expect(broker.statistics.accountedBytes[.deliveries] == 0)
    }

    @Test func `does not affect a new topic of the same name`() {
        let consumer = broker.consumer(of: .count, ready: 5)
        let producer = broker.client()
        producer.publish("old")
        let old = consumer.takeMessages()
        _ = broker.core.drainEvents()
        broker.iteration {
            broker.control { $0.deleteTopic(.plays, at: $1) }
            broker.core.createChannel("channel1", of: .plays)
            consumer.finish(old)
            producer.publish("new")
        }
        let expected: [BrokerEvent] = [
            .topicCreated(.plays), .channelCreated(.plays, ChannelName("channel1")!),
        ]
        let events = broker.core.drainEvents().filter {
            if case .topicDeleted(.plays, let channels) = $0 { return channels.count == 201 }
            return expected.contains($0)
        }
        #expect(events.count == 3 && events.dropFirst() == expected[...])
        broker.pass(.seconds(120))
        #expect(broker.topic()?.channels.map(\.name) == [ChannelName("channel1")!])
        #expect(broker.consumer(of: ChannelName("channel1")!, ready: 5).takeBodies() == ["new"])
    }

    @Test func `of topics in use takes several iterations`() {
        broker.client().publish("play")
        // Each segment asks all 200 channels which messages they need.
        let before = broker.iterationCount
        broker.pass(.seconds(6))
        #expect(broker.iterationCount - before >= 3)
        let settled = broker.iterationCount
        broker.pass(.seconds(4))
        #expect(broker.iterationCount - settled <= 1, "nothing is left of the pass")
    }

    @Test func `of discarded deferred messages takes one step for each channel and segment`() {
        broker.control { $0.pauseTopic(.plays, true, at: $1) }
        let producer = broker.client()
        for _ in 1...300 { producer.publish("later", after: .seconds(600)) }
        #expect(broker.topic()?.depth == 300)
        broker.control { $0.emptyTopic(.plays, at: $1) }
        #expect(broker.topic()?.depth == 0)
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        broker.pass(.seconds(700))
        #expect(broker.topic()?.channels.allSatisfy { $0.messageCount == 0 } == true)
        #expect(broker.statistics.accountedBytes[.deliveries] == 0)
    }
}

extension Broker {
    fileprivate func createChannel(_ name: String, of topic: TopicName) {
        createTopic(topic, at: .start)
        _ = createChannel(ChannelName(name)!, of: topic, at: .start)
    }
}
