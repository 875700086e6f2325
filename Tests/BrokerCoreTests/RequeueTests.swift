import BrokerCore
import NSQWire
import Testing

@Suite struct `REQ` {
    let broker = TestBroker()

    @Test func `without a delay puts a message behind the queued ones`() {
        let consumer = broker.consumer(ready: 1)
        broker.client().multiPublish(["one", "two", "three"])
        let first = consumer.takeMessages()
        consumer.requeue(first[0])
        var order: [String] = []
        for _ in 1...3 {
            let got = consumer.takeMessages()
            order += got.map { "\($0.text) \($0.attempts)" }
            consumer.finish(got)
        }
        #expect(order == ["two 1", "three 1", "one 2"])
        #expect(consumer.take() == [])
    }

    @Test func `without a delay puts a message before those that are published later`() {
        let consumer = broker.consumer(ready: 1)
        let producer = broker.client()
        producer.multiPublish(["one", "two"])
        let first = consumer.takeMessages()
        broker.iteration {
            consumer.send(.ready(count: 0))
            consumer.requeue(first[0])
            producer.publish("three")
        }
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["two", "one", "three"])
    }

    @Test func `redelivers several messages in the order of their REQs`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().multiPublish(["one", "two", "three"])
        let held = consumer.takeMessages()
        consumer.requeue(held[2], held[0], held[1])
        #expect(consumer.takeBodies() == ["three", "one", "two"])
    }

    @Test func `is counted at once for the channel and the client`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        consumer.requeue(held[0])
        consumer.requeue(held[1], after: .seconds(1))
        let channel = broker.channel()
        #expect(channel?.requeueCount == 2)
        #expect(channel?.depth == 1)
        #expect(channel?.deferredCount == 1)
        #expect(channel?.inFlightCount == 0)
        #expect(channel?.clients.map(\.requeueCount) == [2])
    }

    @Test func `with a delay redelivers a message at its deadline and not before`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("play")
        let message = consumer.takeMessages()[0]
        consumer.requeue(message, after: .milliseconds(1_500))
        broker.pass(.milliseconds(1_499))
        #expect(consumer.takeMessages() == [])
        broker.pass(.milliseconds(1))
        #expect(consumer.takeMessages().map(\.attempts) == [2])
    }

    @Test func `limits the delay to the maximum`() {
        let consumer = broker.consumer(ready: 10) { $0.heartbeatInterval = 60_000 }
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        consumer.send(text: "REQ \(held[0].id) 3600001\n")
        consumer.send(text: "REQ \(held[1].id) 99999999999999999999999\n")
        #expect(broker.channel()?.deferredCount == 2)
        for _ in 1...3_600 {
            broker.pass(.milliseconds(999))
            consumer.send(.nop)
        }
        #expect(consumer.takeMessages() == [])
        broker.pass(.milliseconds(3_600))
        #expect(consumer.takeBodies() == ["one", "two"])
    }

    @Test
    func
        `fails without closing the connection for a queued or deferred message, or one in flight to another consumer`()
    {
        let consumer = broker.consumer(ready: 10)
        let other = broker.consumer()
        broker.client().multiPublish(["one", "two", "three"])
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        consumer.requeue(held[0])
        consumer.requeue(held[1], after: .seconds(1))
        consumer.requeue(held[0], held[1])
        other.requeue(held[2])
        #expect(
            consumer.take() == [
                .error("E_REQ_FAILED REQ \(held[0].id) failed ID not in flight"),
                .error("E_REQ_FAILED REQ \(held[1].id) failed ID not in flight"),
            ])
        #expect(
            other.take() == [
                .error("E_REQ_FAILED REQ \(held[2].id) failed client does not own message")
            ])
    }

    @Test func `leaves the ID, timestamp and body unchanged`() throws {
        let consumer = broker.consumer(ready: 1)
        broker.client().publish("the play")
        let first = try #require(consumer.takeMessages().first)
        var last = first
        for round in 0..<300 {
            broker.pass(.milliseconds(1))
            if round % 3 == 0 {
                consumer.requeue(last, after: .milliseconds(5))
                broker.pass(.milliseconds(5))
            } else {
                consumer.requeue(last)
            }
            last = try #require(consumer.takeMessages().first)
            #expect(last.atFirst == first)
            #expect(last.attempts == UInt16(round + 2))
        }
        #expect(last.attempts == 301, "more than one byte holds")
    }

    @Test func `counts attempts up to 65535 and then from 0, as nsqd does`() throws {
        let consumer = broker.consumer(ready: 1)
        broker.client().publish("play")
        var message = try #require(consumer.takeMessages().first)
        for _ in 2...65_535 {
            consumer.requeue(message)
            message = try #require(consumer.takeMessages().first)
        }
        #expect(message.attempts == 65_535)
        consumer.requeue(message)
        #expect(consumer.takeMessages().map(\.attempts) == [0])
    }
}
