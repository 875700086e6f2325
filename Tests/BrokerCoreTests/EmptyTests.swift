import BrokerCore
import NSQWire
import Testing

@Suite struct `Discarding messages` {
    let broker = TestBroker()

    @Test
    func `removes queued, in-flight and deferred messages of a channel, and keeps its counters`() {
        let consumer = broker.consumer(ready: 2)
        let producer = broker.client()
        producer.multiPublish(["one", "two", "three", "four"])
        producer.publish("later", after: .seconds(1))
        let held = consumer.takeMessages()
        consumer.requeue(held[0], after: .seconds(1))
        #expect(broker.control { $0.emptyChannel(.count, of: .plays, at: $1) })
        let channel = broker.channel()
        #expect(channel?.depth == 0)
        #expect(channel?.inFlightCount == 0)
        #expect(channel?.deferredCount == 0)
        #expect(channel?.messageCount == 5)
        #expect(channel?.requeueCount == 1)
        #expect(channel?.clients.map(\.inFlightCount) == [0])

        consumer.forgetAnswers()
        _ = consumer.takeMessages()
        consumer.finish(held[1])
        #expect(
            consumer.take() == [.error("E_FIN_FAILED FIN \(held[1].id) failed ID not in flight")])
        broker.pass(.seconds(20))
        #expect(consumer.takeMessages() == [])
        producer.publish("five")
        #expect(consumer.takeBodies() == ["five"])
    }

    @Test func `leaves the messages of other channels unchanged`() {
        let one = broker.consumer(of: .count)
        let other = broker.consumer(of: .archive)
        broker.client().multiPublish(["one", "two"])
        broker.control { $0.emptyChannel(.count, of: .plays, at: $1) }
        one.send(.ready(count: 10))
        other.send(.ready(count: 10))
        #expect(one.takeMessages() == [])
        #expect(other.takeBodies() == ["one", "two"])
    }

    @Test func `removes only the messages of a topic that no channel has`() {
        let consumer = broker.consumer()
        let producer = broker.client()
        producer.publish("channel's")
        broker.control { $0.pauseTopic(.plays, true, at: $1) }
        producer.publish("topic's")
        producer.publish("topic's later", after: .seconds(1))
        #expect(broker.control { $0.emptyTopic(.plays, at: $1) })
        #expect(broker.topic()?.depth == 0)
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        producer.publish("next")
        consumer.send(.ready(count: 10))
        broker.pass(.seconds(2))
        #expect(consumer.takeBodies() == ["channel's", "next"])
        #expect(broker.topic()?.messageCount == 4)
    }

    @Test func `leaves no messages for the first channel of a topic`() {
        let producer = broker.client()
        producer.publish("one")
        producer.publish("later", after: .milliseconds(1))
        broker.control { $0.emptyTopic(.plays, at: $1) }
        producer.publish("two")
        let consumer = broker.consumer(ready: 10)
        broker.pass(.seconds(1))
        #expect(consumer.takeBodies() == ["two"])
    }

    @Test func `keeps the messages of a paused topic when its channel is emptied twice`() {
        let consumer = broker.consumer(ready: 10)
        let producer = broker.client()
        broker.control { $0.pauseTopic(.plays, true, at: $1) }
        producer.publish("kept")
        producer.publish("kept later", after: .milliseconds(5))
        for _ in 1...2 { broker.control { $0.emptyChannel(.count, of: .plays, at: $1) } }
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        broker.pass(.milliseconds(5))
        #expect(consumer.takeBodies() == ["kept", "kept later"])
    }

    @Test func `fails for an unknown topic or channel`() {
        _ = broker.consumer()
        #expect(!broker.control { $0.emptyTopic(.likes, at: $1) })
        #expect(!broker.control { $0.emptyChannel(.archive, of: .plays, at: $1) })
    }
}
