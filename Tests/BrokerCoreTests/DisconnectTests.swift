import BrokerCore
import NSQWire
import Testing

@Suite struct `A consumer that goes` {
    let broker = TestBroker()

    @Test func `leaves what it held to the others at once, in the messages' order`() {
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

    @Test func `leaves the messages of others where they are`() {
        let leaver = broker.consumer(ready: 1)
        let stayer = broker.consumer(ready: 1)
        broker.client().multiPublish(["one", "two"])
        let held = stayer.takeMessages()
        leaver.leave()
        stayer.finish(held)
        #expect(stayer.take().compactMap(\.message?.attempts) == [2])
    }

    @Test func `as the last one leaves them waiting in the channel`() {
        let leaver = broker.consumer(ready: 2)
        broker.client().multiPublish(["one", "two", "three"])
        leaver.leave()
        #expect(broker.channel()?.depth == 3)
        #expect(broker.channel()?.inFlightCount == 0)
        #expect(broker.consumer(ready: 10).takeBodies() == ["three", "one", "two"])
    }

    @Test func `is given nothing more once nothing reaches it, and may still finish what it has`() {
        let leaver = broker.consumer(ready: 3)
        broker.client().publish("one")
        let held = leaver.takeMessages()
        leaver.session.isUnreachable = true
        broker.client().publish("two")
        #expect(leaver.takeMessages() == [])
        leaver.finish(held)
        leaver.leave()
        let left = broker.consumer(ready: 3).takeMessages()
        #expect(left.map(\.text) == ["two"])
        #expect(left.map(\.attempts) == [1])
    }

    @Test func `does not take along what it has deferred`() {
        let leaver = broker.consumer(ready: 1)
        broker.client().publish("play")
        leaver.requeue(leaver.takeMessages()[0], after: .seconds(1))
        leaver.leave()
        #expect(broker.channel()?.deferredCount == 1)
        let stayer = broker.consumer(ready: 1)
        broker.pass(.seconds(1))
        #expect(stayer.takeMessages().map(\.attempts) == [2])
    }

    @Test func `after CLS, or after an error, leaves what it held all the same`() {
        let closing = broker.consumer(ready: 1)
        broker.client().publish("play")
        closing.send(.close)
        closing.leave()
        let wrong = broker.consumer(ready: 1)
        #expect(wrong.takeMessages().map(\.attempts) == [2])
        wrong.send(text: "FOO\n")
        #expect(broker.consumer(ready: 1).takeMessages().map(\.attempts) == [3])
    }

    @Test func `is gone once, however often it is said`() {
        let consumer = broker.consumer(ready: 1)
        consumer.leave()
        consumer.leave()
        #expect(broker.channel()?.clients.isEmpty == true)
        #expect(broker.statistics.connections == 0)
    }
}

@Suite struct `CLS` {
    let broker = TestBroker()

    @Test func `is answered CLOSE_WAIT, and no message comes any more`() {
        let consumer = broker.consumer(ready: 1)
        let producer = broker.client()
        producer.publish("one")
        let held = consumer.takeMessages()
        consumer.send(.close)
        #expect(consumer.take() == [.response("CLOSE_WAIT")])
        #expect(!consumer.isHungUp)
        consumer.finish(held)
        producer.publish("two")
        #expect(consumer.take() == [])
        #expect(broker.channel()?.clients.map(\.state) == [4])
    }

    @Test(arguments: ["RDY 5\n", "RDY 99999\n", "RDY x\n"])
    func `makes RDY mean nothing, whatever the count`(line: String) {
        let consumer = broker.consumer()
        consumer.send(.close)
        consumer.send(text: line)
        broker.client().publish("play")
        #expect(consumer.take() == [.response("CLOSE_WAIT")])
        #expect(broker.channel()?.depth == 1)
    }

    @Test func `lets FIN, REQ, TOUCH, PUB and NOP go on`() {
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
