import BrokerCore
import NSQWire
import Testing

@Suite struct `A message in flight` {
    let broker = TestBroker()

    @Test func `is redelivered to another consumer after its timeout and not before`() {
        let slow = broker.consumer(ready: 1)
        broker.client().publish("play")
        #expect(slow.takeMessages().map(\.attempts) == [1])
        slow.send(.ready(count: 0))
        let quick = broker.consumer(ready: 1)
        keepAlive([slow, quick], for: .milliseconds(59_999))
        #expect(quick.takeMessages() == [])
        broker.pass(.milliseconds(1))
        #expect(quick.takeMessages().map(\.attempts) == [2])
        let channel = broker.channel()
        #expect(channel?.timeoutCount == 1)
        #expect(channel?.requeueCount == 0)
        #expect(channel?.clients.map(\.inFlightCount) == [0, 1])
    }

    @Test func `has the timeout of its consumer`() {
        let short = broker.consumer(ready: 1) { $0.messageTimeout = 1_000 }
        let long = broker.consumer(ready: 1) { $0.messageTimeout = 5_000 }
        broker.client().multiPublish(["one", "two"])
        #expect(short.takeMessages().count == 1)
        #expect(long.takeMessages().count == 1)
        for client in [short, long] { client.send(.ready(count: 0)) }
        broker.pass(.milliseconds(999))
        #expect(broker.channel()?.depth == 0)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.depth == 1)
        broker.pass(.milliseconds(3_999))
        #expect(broker.channel()?.depth == 1)
        broker.pass(.milliseconds(1))
        #expect(broker.channel()?.depth == 2)
        #expect(broker.channel()?.timeoutCount == 2)
    }

    @Test func `can be redelivered to the same consumer`() {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 1_000 }
        broker.client().publish("play")
        broker.pass(.seconds(5))
        #expect(consumer.takeMessages().map(\.attempts) == [1, 2, 3, 4, 5, 6])
    }

    @Test func `does not time out after FIN, REQ or TOUCH`() {
        let consumer = broker.consumer(ready: 10) { $0.messageTimeout = 1_000 }
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        broker.pass(.milliseconds(999))
        consumer.finish(held[0])
        consumer.requeue(held[1], after: .seconds(10))
        broker.pass(.seconds(5))
        #expect(broker.channel()?.timeoutCount == 0)
        #expect(broker.channel()?.deferredCount == 1)
    }

    @Test func `times out independently of other messages`() {
        let consumer = broker.consumer(ready: 100) { $0.messageTimeout = 1_000 }
        let producer = broker.client()
        for number in 0..<10 {
            producer.publish("\(number)")
            broker.pass(.milliseconds(10))
        }
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        consumer.finish(held[3], held[0], held[8])
        // Message n was delivered after 10·n ms, so it times out after 1,000 + 10·n ms.
        broker.pass(.milliseconds(899))
        var depths: [Int] = []
        for _ in 0..<10 {
            broker.pass(.milliseconds(10))
            depths.append(broker.channel()?.depth ?? -1)
        }
        #expect(depths == [0, 1, 2, 2, 3, 4, 5, 6, 6, 7])
    }

    @Test func `times out in a paused channel`() {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 1_000 }
        broker.client().publish("play")
        #expect(consumer.takeMessages().count == 1)
        broker.control { $0.pauseChannel(.count, of: .plays, true, at: $1) }
        broker.pass(.seconds(1))
        #expect(broker.channel()?.timeoutCount == 1)
        #expect(broker.channel()?.depth == 1)
        #expect(consumer.takeMessages() == [])
    }

    /// Advances the clock, while the clients respond to heartbeats.
    private func keepAlive(_ clients: [TestClient], for duration: Duration) {
        let step = duration / 10
        for _ in 1...10 {
            broker.pass(step)
            for client in clients { client.send(.nop) }
        }
    }
}
