import BrokerCore
import NSQWire
import Testing

@Suite struct `At the limit of message memory` {
    let broker = TestBroker { $0.maxMemoryBytes = 1 << 20 }
    let filler: TestClient
    let consumer: TestClient

    init() {
        filler = broker.client()
        consumer = broker.consumer()
        let body = [UInt8](repeating: 1, count: 10_000)
        for _ in 1...200 { filler.send(.publish(.plays), body: body) }
    }

    @Test func `each publishing command returns its own error`() {
        #expect(filler.isDisconnected)
        let full = "queue memory is full at 1048576 bytes"
        #expect(filler.take().last == .error("E_PUB_FAILED PUB failed \(full)"))

        let producer = broker.client()
        producer.multiPublish(["x", "y"])
        #expect(producer.take() == [.error("E_MPUB_FAILED MPUB failed \(full)")])
        let deferring = broker.client()
        deferring.publish("x", after: .seconds(1))
        #expect(deferring.take() == [.error("E_DPUB_FAILED DPUB failed \(full)")])
    }

    @Test func `the memory in use exceeds the limit by one slab at most`() {
        #expect(broker.statistics.usedMemoryBytes <= (1 << 20) + SlabPool.fullSlabBytes)
    }

    @Test func `all accepted messages are delivered, and publishing succeeds afterwards`() {
        let accepted = broker.topic()!.messageCount
        consumer.send(.ready(count: 2_500))
        let held = consumer.takeMessages()
        #expect(held.count == accepted)
        consumer.finish(held)
        broker.pass(.seconds(10))
        let producer = broker.client()
        producer.publish("again")
        #expect(producer.take() == [.ok])
        #expect(consumer.takeBodies() == ["again"])
    }

    @Test func `the commands of consumers succeed`() {
        consumer.send(.ready(count: 2))
        let held = consumer.takeMessages()
        consumer.requeue(held[0])
        consumer.finish(held[1])
        consumer.send(.nop)
        #expect(consumer.takeMessages().count == 2)
        #expect(consumer.take() == [])
    }
}

@Suite struct `Many small messages in one batch` {
    @Test func `count with the memory of their frames and not only of their bodies`() {
        let broker = TestBroker { $0.maxMemoryBytes = 100_000 }
        let producer = broker.client()
        producer.multiPublish((1...5_000).map { _ in "x" })
        #expect(
            producer.take() == [
                .error("E_MPUB_FAILED MPUB failed queue memory is full at 100000 bytes")
            ])
        #expect(broker.statistics.usedMemoryBytes == 0)
    }
}

@Suite struct `A broker that is stopping` {
    @Test func `refuses new messages, and delivers those that it has`() {
        let broker = TestBroker()
        let producers = (1...3).map { _ in broker.client() }
        let consumer = broker.consumer()
        producers[0].publish("one")
        broker.core.stop()
        producers[0].publish("two")
        producers[1].multiPublish(["three"])
        producers[2].publish("four", after: .seconds(1))
        #expect(producers[0].take() == [.ok, .error("E_PUB_FAILED PUB failed exiting")])
        #expect(producers[1].take() == [.error("E_MPUB_FAILED MPUB failed exiting")])
        #expect(producers[2].take() == [.error("E_DPUB_FAILED DPUB failed exiting")])
        consumer.send(.ready(count: 10))
        let held = consumer.takeMessages()
        #expect(held.map(\.text) == ["one"])
        consumer.finish(held)
        #expect(broker.channel()?.inFlightCount == 0)
    }
}
