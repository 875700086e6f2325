import BrokerCore
import NSQWire
import Testing

@Suite struct `Several consumers of a channel` {
    let broker = TestBroker()

    @Test func `receive each message only once in total`() {
        let consumers = (1...3).map { _ in broker.consumer(ready: 2_500) }
        let bodies = (1...1_000).map { "play \($0)" }
        broker.client().multiPublish(bodies)
        let got = consumers.flatMap { $0.takeBodies() }
        #expect(got.sorted() == bodies.sorted())
    }

    @Test(arguments: [10, 300, 2_000])
    func `receive about the same number of messages`(count: Int) {
        let consumers = (1...4).map { _ in broker.consumer(ready: 2_500) }
        broker.client().multiPublish((1...count).map { "play \($0)" })
        let shares = consumers.map { $0.takeMessages().count }
        #expect(shares.reduce(0, +) == count)
        #expect(shares.max()! - shares.min()! <= max(1, count / 4), "shares: \(shares)")
    }

    @Test func `receive single messages in rotation`() {
        let consumers = (1...3).map { _ in broker.consumer(ready: 10) }
        let producer = broker.client()
        for number in 1...9 { producer.publish("play \(number)") }
        #expect(consumers.map { $0.takeMessages().count } == [3, 3, 3])
    }

    @Test func `receive all messages if the others are not ready`() {
        let idle = broker.consumer()
        let busy = broker.consumer(ready: 5)
        let slow = broker.consumer(ready: 1)
        broker.client().multiPublish((1...10).map { "play \($0)" })
        #expect(idle.takeMessages().count == 0)
        #expect(busy.takeMessages().count == 5)
        #expect(slow.takeMessages().count == 1)
        #expect(broker.channel()?.depth == 4)
    }

    @Test func `include a new consumer in the slot of one that has disconnected`() {
        let first = broker.consumer(ready: 1)
        let second = broker.consumer(ready: 1)
        first.leave()
        let third = broker.consumer(ready: 1)
        broker.client().multiPublish(["one", "two", "three"])
        #expect(second.takeMessages().count == 1)
        #expect(third.takeMessages().count == 1)
        #expect(broker.channel()?.clients.count == 2)
    }
}
