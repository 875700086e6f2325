import BrokerCore
import NSQWire
import Testing

@Suite struct `TOUCH` {
    let broker = TestBroker { $0.maxMessageTimeout = .seconds(10) }

    @Test func `restarts the timeout of a message`() {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 2_000 }
        broker.client().publish("play")
        let message = consumer.takeMessages()[0]
        broker.pass(.milliseconds(1_999))
        consumer.touch(message)
        broker.pass(.milliseconds(1_999))
        #expect(broker.channel()?.timeoutCount == 0)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.timeoutCount == 1)
        #expect(consumer.take().compactMap(\.message?.attempts) == [2], "and is not answered")
    }

    @Test func `extends the timeout to the maximum since the delivery at most`() {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 4_000 }
        broker.client().publish("play")
        let message = consumer.takeMessages()[0]
        for _ in 1...9 {
            broker.pass(.seconds(1))
            consumer.touch(message)
        }
        broker.pass(.milliseconds(999))
        #expect(broker.channel()?.timeoutCount == 0)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.timeoutCount == 1)
    }

    @Test func `does not change the timeouts of other messages`() {
        let consumer = broker.consumer(ready: 3) { $0.messageTimeout = 2_000 }
        broker.client().multiPublish(["one", "two", "three"])
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        broker.pass(.seconds(1))
        consumer.touch(held[1])
        broker.pass(.seconds(1))
        #expect(broker.channel()?.timeoutCount == 2)
        broker.pass(.milliseconds(999))
        #expect(broker.channel()?.timeoutCount == 2)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.timeoutCount == 3)
    }

    @Test func `at the maximum timeout does not change the timeouts of other messages`() {
        let consumer = broker.consumer(ready: 3) { $0.messageTimeout = 4_000 }
        let producer = broker.client()
        producer.publish("old")
        let old = consumer.takeMessages()[0]
        for _ in 1...8 {
            broker.pass(.seconds(1))
            consumer.touch(old)
        }
        producer.publish("young")
        consumer.send(.ready(count: 0))
        broker.pass(.seconds(1))
        consumer.touch(old)
        consumer.touch(old)
        broker.pass(.milliseconds(999))
        #expect(broker.channel()?.timeoutCount == 0)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.timeoutCount == 1, "the old one after 10 s")
        broker.pass(.milliseconds(1_999))
        #expect(broker.channel()?.timeoutCount == 1)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.timeoutCount == 2, "the young one after 4 s")
    }

    @Test func `restarts the timeout of a redelivered message after an earlier maximum`() {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 10_000 }
        broker.client().publish("play")
        broker.pass(.seconds(10))
        let held = consumer.takeMessages()
        #expect(held.map(\.attempts) == [1, 2])
        broker.pass(.seconds(5))
        consumer.touch(held[1])
        broker.pass(.milliseconds(4_999))
        #expect(broker.channel()?.timeoutCount == 1)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.timeoutCount == 2)
    }

    @Test
    func
        `fails without closing the connection for a message that is not in flight to the consumer`()
    {
        let consumer = broker.consumer(ready: 1)
        let other = broker.consumer()
        broker.client().publish("play")
        let message = consumer.takeMessages()[0]
        other.touch(message)
        consumer.finish(message)
        consumer.touch(message)
        #expect(
            other.take() == [
                .error("E_TOUCH_FAILED TOUCH \(message.id) failed client does not own message")
            ])
        #expect(
            consumer.take() == [
                .error("E_TOUCH_FAILED TOUCH \(message.id) failed ID not in flight")
            ])
    }
}
