import BrokerCore
import NSQWire
import Testing

@Suite struct `RDY` {
    let broker = TestBroker()
    let producer: TestClient

    init() {
        producer = broker.client()
    }

    private func publish(_ count: Int) {
        producer.multiPublish((1...count).map { "play \($0)" })
    }

    @Test func `delivers no message before the first RDY`() {
        let consumer = broker.consumer()
        publish(1)
        #expect(consumer.takeMessages().isEmpty)
        consumer.send(.ready(count: 1))
        #expect(consumer.takeBodies() == ["play 1"])
    }

    @Test func `limits the messages in flight, so that each FIN permits one more delivery`() {
        let consumer = broker.consumer(ready: 2)
        publish(5)
        let held = consumer.takeMessages()
        #expect(held.map(\.text) == ["play 1", "play 2"])
        consumer.finish(held[0])
        #expect(consumer.takeBodies() == ["play 3"])
        consumer.finish(held[1])
        #expect(consumer.takeBodies() == ["play 4"])
    }

    @Test
    func
        `requeues no messages when the count decreases, and delivers none until fewer are in flight`()
    {
        let consumer = broker.consumer(ready: 3)
        publish(5)
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 1))
        consumer.finish(held[0], held[1])
        #expect(consumer.takeMessages() == [])
        consumer.finish(held[2])
        #expect(consumer.takeBodies() == ["play 4"])
    }

    @Test func `stops the delivery with a count of 0 and resumes it with a later count`() {
        let consumer = broker.consumer(ready: 1)
        publish(2)
        consumer.send(.ready(count: 0))
        consumer.finish(consumer.takeMessages())
        #expect(consumer.takeMessages() == [])
        consumer.send(.ready(count: 1))
        #expect(consumer.takeBodies() == ["play 2"])
    }

    @Test(arguments: [("RDY\n", 1), ("RDY \n", 0), ("RDY 003\n", 3), ("RDY 2500\n", 2500)])
    func `accepts a count that is missing, empty or has leading zeros`(line: String, count: Int) {
        let consumer = broker.consumer()
        consumer.send(text: line)
        #expect(consumer.take() == [])
        #expect(broker.channel()?.clients.map(\.readyCount) == [count])
    }

    @Test func `permits further deliveries after REQ, a timeout and emptying the channel`() {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 1_000 }
        publish(4)
        let first = consumer.takeMessages()
        consumer.requeue(first[0])
        #expect(consumer.takeBodies() == ["play 2"])
        broker.pass(.seconds(1))
        #expect(consumer.takeBodies() == ["play 3"])
        broker.control { $0.emptyChannel(.count, of: .plays, at: $1) }
        publish(1)
        #expect(consumer.takeBodies() == ["play 1"])
    }
}
