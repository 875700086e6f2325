import BrokerCore
import NSQWire
import Testing

@Suite struct `A paused channel` {
    let broker = TestBroker()

    @Test func `accepts messages and delivers none until it is unpaused`() {
        let consumer = broker.consumer(ready: 10)
        let other = broker.consumer(of: .archive, ready: 10)
        let producer = broker.client()
        broker.control { $0.pauseChannel(.count, of: .plays, true, at: $1) }
        producer.publish("one", "two")
        #expect(consumer.takeMessages() == [])
        #expect(other.takeBodies() == ["one", "two"])
        #expect(broker.channel()?.depth == 2)
        #expect(broker.channel()?.isPaused == true)
        broker.control { $0.pauseChannel(.count, of: .plays, false, at: $1) }
        #expect(consumer.takeBodies() == ["one", "two"])
    }

    @Test func `accepts FIN, REQ and TOUCH for messages in flight`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().multiPublish(["one", "two", "three"])
        let held = consumer.takeMessages()
        broker.control { $0.pauseChannel(.count, of: .plays, true, at: $1) }
        consumer.finish(held[0])
        consumer.requeue(held[1])
        consumer.touch(held[2])
        #expect(consumer.take() == [])
        #expect(broker.channel()?.depth == 1)
        #expect(broker.channel()?.inFlightCount == 1)
    }
}

@Suite struct `A paused topic` {
    let broker = TestBroker()

    @Test func `keeps new messages, while its channels deliver theirs`() {
        let consumer = broker.consumer(ready: 1)
        let producer = broker.client()
        producer.publish("one", "two")
        broker.control { $0.pauseTopic(.plays, true, at: $1) }
        producer.publish("three")
        producer.publish("later", after: .seconds(1))
        #expect(broker.topic()?.depth == 2)
        #expect(broker.topic()?.isPaused == true)
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["one", "two"])
        broker.pass(.seconds(2))
        #expect(consumer.takeMessages() == [])

        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        #expect(consumer.takeBodies() == ["three"])
        broker.pass(.zero)
        #expect(consumer.takeBodies() == ["later"])
        #expect(broker.topic()?.depth == 0)
    }

    @Test
    func `dispatches messages that were published before the pause in the same loop iteration`() {
        let consumer = broker.consumer(ready: 10)
        let producer = broker.client()
        broker.iteration {
            producer.publish("before")
            broker.control { $0.pauseTopic(.plays, true, at: $1) }
            producer.publish("after")
        }
        #expect(consumer.takeBodies() == ["before"])
    }

    @Test func `dispatches the messages that it kept to channels created during the pause`() {
        let first = broker.consumer(of: .count, ready: 10)
        let producer = broker.client()
        producer.publish("before")
        broker.control { $0.pauseTopic(.plays, true, at: $1) }
        producer.publish("kept")
        producer.publish("deferred", after: .milliseconds(1))
        let second = broker.consumer(of: .archive, ready: 10)
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        broker.pass(.milliseconds(1))
        #expect(first.takeBodies() == ["before", "kept", "deferred"])
        #expect(second.takeBodies() == ["kept", "deferred"])
    }

    @Test func `can be paused and unpaused twice, while an unknown topic cannot be paused`() {
        _ = broker.consumer()
        for isPaused in [true, true, false, false] {
            #expect(broker.control { $0.pauseTopic(.plays, isPaused, at: $1) })
            #expect(broker.control { $0.pauseChannel(.count, of: .plays, isPaused, at: $1) })
            #expect(broker.topic()?.isPaused == isPaused)
        }
        #expect(!broker.control { $0.pauseTopic(.likes, true, at: $1) })
        #expect(!broker.control { $0.pauseChannel(.archive, of: .plays, true, at: $1) })
        #expect(!broker.control { $0.pauseChannel(.count, of: .likes, true, at: $1) })
    }
}
