import BrokerCore
import NSQWire
import Testing

@Suite struct `A consumer that disconnects` {
    let broker = TestBroker()

    @Test func `has its messages redelivered at once, in the order of their IDs`() {
        let leaver = broker.consumer(ready: 3)
        broker.client().multiPublish(["one", "two", "three"])
        #expect(leaver.takeMessages().count == 3)
        let stayer = broker.consumer(ready: 10)
        leaver.leave()
        let got = stayer.takeMessages()
        #expect(got.map(\.text) == ["one", "two", "three"])
        #expect(got.map(\.attempts) == [2, 2, 2])
        let channel = broker.channel()
        #expect(channel?.clients.map(\.inFlightCount) == [3])
        #expect(channel?.timeoutCount == 0)
        #expect(channel?.requeueCount == 0)
    }

    @Test func `does not affect messages in flight to others`() {
        let leaver = broker.consumer(ready: 1)
        let stayer = broker.consumer(ready: 1)
        broker.client().multiPublish(["one", "two"])
        let held = stayer.takeMessages()
        leaver.leave()
        stayer.finish(held)
        #expect(stayer.take().compactMap(\.message?.attempts) == [2])
    }

    @Test func `leaves its messages queued in the channel if it is the last one`() {
        let leaver = broker.consumer(ready: 2)
        broker.client().multiPublish(["one", "two", "three"])
        leaver.leave()
        #expect(broker.channel()?.depth == 3)
        #expect(broker.channel()?.inFlightCount == 0)
        #expect(broker.consumer(ready: 10).takeBodies() == ["three", "one", "two"])
    }

    @Test func `receives no messages once it is unreachable, and can still finish its own`() {
        let leaver = broker.consumer(ready: 3)
        broker.client().publish("one")
        let held = leaver.takeMessages()
        leaver.session.markUnreachable()
        broker.client().publish("two")
        #expect(leaver.takeMessages() == [])
        leaver.finish(held)
        leaver.leave()
        let left = broker.consumer(ready: 3).takeMessages()
        #expect(left.map(\.text) == ["two"])
        #expect(left.map(\.attempts) == [1])
    }

    @Test func `leaves the messages that it has deferred in the channel`() {
        let leaver = broker.consumer(ready: 1)
        broker.client().publish("play")
        leaver.requeue(leaver.takeMessages()[0], after: .seconds(1))
        leaver.leave()
        #expect(broker.channel()?.deferredCount == 1)
        let stayer = broker.consumer(ready: 1)
        broker.pass(.seconds(1))
        #expect(stayer.takeMessages().map(\.attempts) == [2])
    }

    @Test func `has its messages requeued after CLS and after a fatal error`() {
        let closing = broker.consumer(ready: 1)
        broker.client().publish("play")
        closing.send(.close)
        closing.leave()
        let wrong = broker.consumer(ready: 1)
        #expect(wrong.takeMessages().map(\.attempts) == [2])
        wrong.send(text: "FOO\n")
        #expect(broker.consumer(ready: 1).takeMessages().map(\.attempts) == [3])
    }

    @Test func `is removed only once by repeated disconnects`() {
        let consumer = broker.consumer(ready: 1)
        consumer.leave()
        consumer.leave()
        #expect(broker.channel()?.clients.isEmpty == true)
        #expect(broker.statistics.connections == 0)
    }
}

@Suite struct `CLS` {
    let broker = TestBroker()

    @Test func `returns CLOSE_WAIT and ends the delivery`() {
        let consumer = broker.consumer(ready: 1)
        let producer = broker.client()
        producer.publish("one")
        let held = consumer.takeMessages()
        consumer.send(.close)
        #expect(consumer.take() == [.response("CLOSE_WAIT")])
        #expect(!consumer.isDisconnected)
        consumer.finish(held)
        producer.publish("two")
        #expect(consumer.take() == [])
        #expect(broker.channel()?.clients.map(\.state) == [4])
    }

    @Test(arguments: ["RDY 5\n", "RDY 99999\n", "RDY x\n"])
    func `makes the broker ignore every later RDY`(line: String) {
        let consumer = broker.consumer()
        consumer.send(.close)
        consumer.send(text: line)
        broker.client().publish("play")
        #expect(consumer.take() == [.response("CLOSE_WAIT")])
        #expect(broker.channel()?.depth == 1)
    }

    @Test func `permits later FIN, REQ, TOUCH, PUB and NOP`() {
        let consumer = broker.consumer(ready: 3)
        broker.client().multiPublish(["one", "two", "three"])
        let held = consumer.takeMessages()
        consumer.send(.close, .nop)
        consumer.finish(held[0])
        consumer.requeue(held[1])
        consumer.touch(held[2])
        consumer.publish("four")
        #expect(consumer.take() == [.response("CLOSE_WAIT"), .ok])
        #expect(broker.channel()?.depth == 2)
        #expect(broker.channel()?.inFlightCount == 1)
    }
}
