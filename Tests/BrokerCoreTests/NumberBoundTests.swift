import BrokerCore
import NSQWire
import Testing

@Suite struct `When there are as many topics as there may be` {
    let broker = TestBroker { $0.maxTopics = 1 }
    let full = "number of topics exceeds limit of 1"

    init() { broker.client().publish("kept") }

    @Test func `whoever names another one is refused, each in its command's way`() {
        let producer = broker.client()
        producer.publish("x", to: .likes)
        #expect(producer.take() == [.error("E_PUB_FAILED PUB failed \(full)")])
        let batches = broker.client()
        batches.multiPublish(["x", "y"], to: .likes)
        #expect(batches.take() == [.error("E_MPUB_FAILED MPUB failed \(full)")])
        let deferring = broker.client()
        deferring.publish("x", to: .likes, after: .seconds(1))
        #expect(deferring.take() == [.error("E_DPUB_FAILED DPUB failed \(full)")])
        let consumer = broker.client()
        consumer.send(.subscribe(.likes, .count))
        #expect(consumer.take() == [.error("E_SUB_FAILED SUB failed \(full)")])
        #expect(broker.statistics.topics.map(\.name) == [.plays])
    }

    @Test func `the topics that are there take and give as ever`() {
        let producer = broker.client()
        producer.publish("more")
        #expect(producer.take() == [.ok])
        let consumer = broker.consumer(ready: 10)
        #expect(consumer.takeBodies() == ["kept", "more"])
    }

    @Test func `one that is deleted makes room`() {
        broker.control { $0.deleteTopic(.plays, at: $1) }
        let producer = broker.client()
        producer.publish("x", to: .likes)
        #expect(producer.take() == [.ok])
    }
}

@Suite struct `When a topic has as many channels as it may have` {
    let broker = TestBroker { $0.maxChannelsPerTopic = 1 }

    @Test func `another one is refused, and the first has what it had`() {
        let first = broker.consumer()
        let second = broker.client()
        second.send(.subscribe(.plays, .archive))
        let full = "number of channels exceeds limit of 1"
        #expect(second.take() == [.error("E_SUB_FAILED SUB failed \(full)")])
        #expect(second.isHungUp)
        broker.client().publish("kept")
        first.send(.ready(count: 1))
        #expect(first.takeBodies() == ["kept"])
    }

    @Test func `it may have more consumers, and other topics have channels of their own`() {
        _ = broker.consumer()
        #expect(broker.channel()?.clients.count == 1)
        _ = broker.consumer()
        #expect(broker.channel()?.clients.count == 2)
        let other = broker.client()
        other.send(.subscribe(.likes, .archive))
        #expect(other.take() == [.ok])
    }
}

@Suite struct `A client that is one too many` {
    @Test func `is told so, and hung up on`() {
        let broker = TestBroker()
        let client = broker.stranger()
        broker.turn { broker.core.refuse(client.session, beyond: 3, at: broker.now) }
        #expect(
            client.take()
                == [.error("E_INVALID connection refused number of clients exceeds limit of 3")])
        #expect(client.isHungUp)
    }
}
