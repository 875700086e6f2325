import BrokerCore
import NSQWire
import Testing

@Suite struct `At the limit of topics` {
    let broker = TestBroker { $0.maxTopics = 1 }
    let full = "number of topics exceeds limit of 1"

    init() { broker.client().publish("kept") }

    @Test func `each command that would create a topic returns its own error`() {
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

    @Test func `existing topics accept and deliver messages`() {
        let producer = broker.client()
        producer.publish("more")
        #expect(producer.take() == [.ok])
        let consumer = broker.consumer(ready: 10)
        #expect(consumer.takeBodies() == ["kept", "more"])
    }

    @Test func `a deleted topic permits a new one`() {
        broker.control { $0.deleteTopic(.plays, at: $1) }
        let producer = broker.client()
        producer.publish("x", to: .likes)
        #expect(producer.take() == [.ok])
    }
}

@Suite struct `At the limit of a topic's channels` {
    let broker = TestBroker { $0.maxChannelsPerTopic = 1 }

    @Test func `SUB to a new channel fails, and the existing channel keeps its messages`() {
        let first = broker.consumer()
        let second = broker.client()
        second.send(.subscribe(.plays, .archive))
        let full = "number of channels exceeds limit of 1"
        #expect(second.take() == [.error("E_SUB_FAILED SUB failed \(full)")])
        #expect(second.isDisconnected)
        broker.client().publish("kept")
        first.send(.ready(count: 1))
        #expect(first.takeBodies() == ["kept"])
    }

    @Test func `the existing channel accepts consumers, and other topics accept channels`() {
        _ = broker.consumer()
        #expect(broker.channel()?.clients.count == 1)
        _ = broker.consumer()
        #expect(broker.channel()?.clients.count == 2)
        let other = broker.client()
        other.send(.subscribe(.likes, .archive))
        #expect(other.take() == [.ok])
    }
}

@Suite struct `A client beyond the limit of connections` {
    @Test func `receives an error, and its connection is closed`() {
        let broker = TestBroker()
        let client = broker.connectedClient()
        broker.iteration { broker.core.refuse(client.session, beyond: 3, at: broker.now) }
        #expect(
            client.take()
                == [.error("E_INVALID connection refused number of clients exceeds limit of 3")])
        #expect(client.isDisconnected)
    }
}
