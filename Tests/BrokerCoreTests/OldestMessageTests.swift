import BrokerCore
import NSQWire
import TallyBasics
import Testing

@Suite struct `The age of the oldest message` {
    let broker = TestBroker()

    private var age: Duration? { broker.core.oldestAge(of: .plays, .count, at: broker.now) }

    @Test func `is unknown without messages and without a channel`() {
        #expect(age == nil)
        _ = broker.consumer()
        #expect(age == nil)
    }

    @Test func `grows until the message is finished, also while it is in flight`() {
        let consumer = broker.consumer { $0.messageTimeout = 60_000 }
        let producer = broker.client()
        producer.publish("one")
        broker.pass(.seconds(3))
        #expect(age == .seconds(3))
        producer.publish("two")
        consumer.send(.ready(count: 2))
        broker.pass(.seconds(2))
        #expect(age == .seconds(5))
        let held = consumer.takeMessages()
        consumer.finish(held[0])
        #expect(age == .seconds(2))
        consumer.finish(held[1])
        #expect(age == nil)
    }

    @Test func `is that of a requeued message`() {
        let consumer = broker.consumer(ready: 1)
        broker.client().multiPublish(["one", "two"])
        broker.pass(.seconds(1))
        consumer.send(.ready(count: 0))
        for message in consumer.takeMessages() { consumer.requeue(message) }
        broker.pass(.seconds(1))
        #expect(age == .seconds(2))
    }

    @Test func `does not include deferred messages until they are due`() {
        let consumer = broker.consumer()
        let producer = broker.client()
        producer.publish("later", after: .seconds(10))
        broker.pass(.seconds(4))
        #expect(age == nil)
        producer.publish("now")
        #expect(age == .zero)
        broker.pass(.seconds(6))
        #expect(age == .seconds(10))
        withExtendedLifetime(consumer) {}
    }

    @Test func `is that of a message published before its channel received it`() {
        broker.client().publish("first")
        broker.pass(.seconds(2))
        _ = broker.consumer()
        #expect(age == .seconds(2))
    }
}
