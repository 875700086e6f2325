import BrokerCore
import NSQWire
import Testing

@Suite struct `Deletion` {
    let broker = TestBroker()

    @Test func `closes the connections of a channel's consumers without an error frame`() {
        let consumer = broker.consumer(ready: 1)
        let other = broker.consumer(of: .archive, ready: 1)
        broker.client().publish("play")
        _ = consumer.takeMessages()
        #expect(broker.control { $0.deleteChannel(.count, of: .plays, at: $1) })
        #expect(consumer.take() == [])
        #expect(consumer.isDisconnected)
        #expect(!other.isDisconnected)
        #expect(broker.topic()?.channels.map(\.name) == [.archive])
        #expect(other.takeBodies() == ["play"])
    }

    @Test func `makes a topic keep its messages after its last channel is deleted`() {
        broker.consumer().leave()
        let producer = broker.client()
        producer.publish("gone")
        broker.control { $0.deleteChannel(.count, of: .plays, at: $1) }
        producer.publish("kept")
        #expect(broker.topic()?.depth == 1)
        #expect(broker.consumer(ready: 10).takeBodies() == ["kept"])
    }

    @Test func `leaves an empty channel when the channel is created again`() {
        let consumer = broker.consumer(ready: 1)
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        broker.control { $0.deleteChannel(.count, of: .plays, at: $1) }
        let again = broker.consumer(ready: 10)
        #expect(again.takeMessages() == [])
        #expect(broker.channel()?.messageCount == 0)
        again.finish(held)
        #expect(
            again.take() == [.error("E_FIN_FAILED FIN \(held[0].id) failed ID not in flight")])
    }

    @Test
    func
        `closes the connections of a topic's consumers, while its producer creates the topic again`()
    {
        let producer = broker.client()
        let consumers = [broker.consumer(of: .count), broker.consumer(of: .archive)]
        producer.publish("one")
        producer.publish("later", after: .seconds(1))
        #expect(broker.control { $0.deleteTopic(.plays, at: $1) })
        #expect(consumers.map(\.isDisconnected) == [true, true])
        #expect(!producer.isDisconnected)
        #expect(broker.topic() == nil)

        producer.publish("two")
        #expect(producer.take() == [.ok, .ok, .ok])
        #expect(broker.topic()?.messageCount == 1)
        let consumer = broker.consumer(ready: 10)
        broker.pass(.seconds(2))
        #expect(consumer.takeBodies() == ["two"])
    }

    @Test func `keeps the messages of a topic that is created again in the same loop iteration`() {
        let producer = broker.client()
        broker.iteration {
            producer.publish("one")
            broker.control { $0.deleteTopic(.plays, at: $1) }
            producer.publish("two")
        }
        #expect(broker.topic()?.depth == 1)
    }

    @Test func `succeeds in the same loop iteration as a consumer's commands`() {
        let consumer = broker.consumer(ready: 5)
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        broker.iteration {
            consumer.requeue(held[0])
            broker.control { $0.deleteTopic(.plays, at: $1) }
            consumer.finish(held[1])
            consumer.leave()
        }
        broker.pass(.seconds(20))
        #expect(broker.statistics.topics == [])
        #expect(broker.statistics.connections == 1, "the producer's")
    }

    @Test func `reports its events in order`() {
        _ = broker.consumer()
        _ = broker.core.drainEvents()
        broker.control { $0.deleteTopic(.plays, at: $1) }
        let events = broker.core.drainEvents()
        #expect(events.last == .topicDeleted(.plays, channels: [.count]))
    }

    @Test func `fails for an unknown topic or channel`() {
        _ = broker.consumer()
        #expect(!broker.control { $0.deleteTopic(.likes, at: $1) })
        #expect(!broker.control { $0.deleteChannel(.archive, of: .plays, at: $1) })
        #expect(!broker.control { $0.createChannel(.archive, of: .likes, at: $1) })
    }
}
