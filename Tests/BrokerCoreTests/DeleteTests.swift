import BrokerCore
import NSQWire
import Testing

@Suite struct `Deleting` {
    let broker = TestBroker()

    @Test func `a channel hangs up on its consumers without a word`() {
        let consumer = broker.consumer(ready: 1)
        let other = broker.consumer(of: .archive, ready: 1)
        broker.client().publish("play")
        _ = consumer.takeMessages()
        #expect(broker.control { $0.deleteChannel(.count, of: .plays, at: $1) })
        #expect(consumer.take() == [])
        #expect(consumer.isHungUp)
        #expect(!other.isHungUp)
        #expect(broker.topic()?.channels.map(\.name) == [.archive])
        #expect(other.takeBodies() == ["play"])
    }

    @Test func `the last channel makes the topic keep its messages again`() {
        broker.consumer().leave()
        let producer = broker.client()
        producer.publish("gone")
        broker.control { $0.deleteChannel(.count, of: .plays, at: $1) }
        producer.publish("kept")
        #expect(broker.topic()?.depth == 1)
        #expect(broker.consumer(ready: 10).takeBodies() == ["kept"])
    }

    @Test func `a channel and making it again makes an empty one`() {
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

    @Test func `a topic hangs up on all its consumers; its producer stays and makes it anew`() {
        let producer = broker.client()
        let consumers = [broker.consumer(of: .count), broker.consumer(of: .archive)]
        producer.publish("one")
        producer.publish("later", after: .seconds(1))
        #expect(broker.control { $0.deleteTopic(.plays, at: $1) })
        #expect(consumers.map(\.isHungUp) == [true, true])
        #expect(!producer.isHungUp)
        #expect(broker.topic() == nil)

        producer.publish("two")
        #expect(producer.take() == [.ok, .ok, .ok])
        #expect(broker.topic()?.messageCount == 1)
        let consumer = broker.consumer(ready: 10)
        broker.pass(.seconds(2))
        #expect(consumer.takeBodies() == ["two"])
    }

    @Test func `a topic in the turn it was published to loses nothing of the new one`() {
        let producer = broker.client()
        broker.turn {
            producer.publish("one")
            broker.control { $0.deleteTopic(.plays, at: $1) }
            producer.publish("two")
        }
        #expect(broker.topic()?.depth == 1)
    }

    @Test func `in the turn that its consumer speaks leaves no trace of either`() {
        let consumer = broker.consumer(ready: 5)
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        broker.turn {
            consumer.requeue(held[0])
            broker.control { $0.deleteTopic(.plays, at: $1) }
            consumer.finish(held[1])
            consumer.leave()
        }
        broker.pass(.seconds(20))
        #expect(broker.statistics.topics == [])
        #expect(broker.statistics.connections == 1, "the producer's")
    }

    @Test func `is told of, in order`() {
        _ = broker.consumer()
        _ = broker.core.takeEvents()
        broker.control { $0.deleteTopic(.plays, at: $1) }
        let events = broker.core.takeEvents()
        #expect(
            events.suffix(2) == [.channelDeleted(.plays, .count), .topicDeleted(.plays)])
    }

    @Test func `what is not there is refused`() {
        _ = broker.consumer()
        #expect(!broker.control { $0.deleteTopic(.likes, at: $1) })
        #expect(!broker.control { $0.deleteChannel(.archive, of: .plays, at: $1) })
        #expect(!broker.control { $0.createChannel(.archive, of: .likes, at: $1) })
    }
}
