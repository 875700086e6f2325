import BrokerCore
import NSQWire
import Testing

@Suite struct `SUB` {
    @Test func `returns OK with or without IDENTIFY, and creates the topic and the channel`() {
        let broker = TestBroker()
        let client = broker.client()
        client.send(.subscribe(.plays, .count))
        #expect(client.take() == [.ok])
        #expect(broker.channel()?.clients.map(\.state) == [3])
        #expect(
            broker.core.drainEvents() == [.topicCreated(.plays), .channelCreated(.plays, .count)])
    }

    @Test func `ignores further parameters`() {
        let broker = TestBroker()
        let client = broker.client()
        client.send(text: "SUB plays count and more\r\n")
        #expect(client.take() == [.ok])
    }

    @Test func `fails for a client without heartbeats before it checks the names`() {
        let broker = TestBroker()
        let client = broker.client()
        var request = Identify()
        request.heartbeatInterval = -1
        client.identify(request)
        client.send(text: "SUB $ $\n")
        #expect(
            client.take() == [.ok, .error("E_INVALID cannot SUB with heartbeats disabled")])
        #expect(client.isDisconnected)
    }

    @Test func `fails at the channel's limit of consumers until one disconnects`() {
        let broker = TestBroker { $0.maxChannelConsumers = 2 }
        let first = broker.consumer()
        _ = broker.consumer()
        let third = broker.client()
        third.send(.subscribe(.plays, .count))
        #expect(
            third.take() == [
                .error("E_SUB_FAILED SUB failed consumers for plays:count exceeds limit of 2")
            ])
        #expect(third.isDisconnected)

        _ = broker.consumer(of: .archive)
        #expect(broker.channel(.archive)?.clients.count == 1, "the limit is each channel's own")
        first.leave()
        let fourth = broker.client()
        fourth.send(.subscribe(.plays, .count))
        #expect(fourth.take() == [.ok])
    }
}
