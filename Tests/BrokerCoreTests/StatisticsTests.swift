import BrokerCore
import NSQWire
import Testing

@Suite struct `Statistics` {
    let broker = TestBroker()

    @Test func `are empty for a new broker`() {
        let statistics = broker.statistics
        #expect(statistics.topics == [])
        #expect(statistics.producers == [])
        #expect(statistics.connections == 0)
        #expect(statistics.usedMemoryBytes == 0)
    }

    @Test func `list topics and channels in the order of their names`() {
        for name in ["b", "a", "c"] {
            broker.control { core, now in
                core.createTopic(TopicName(name)!, at: now)
                for channel in ["z", "x", "y"] {
                    _ = core.createChannel(ChannelName(channel)!, of: TopicName(name)!, at: now)
                }
                return true
            }
        }
        #expect(broker.statistics.topics.map(\.name.text) == ["a", "b", "c"])
        #expect(broker.statistics.topics[0].channels.map(\.name.text) == ["x", "y", "z"])
    }

    @Test func `count each state of a message`() throws {
        let consumer = broker.consumer(ready: 3) { $0.messageTimeout = 2_000 }
        let producer = broker.client()
        producer.multiPublish(["one", "two", "three", "four", "five"])
        producer.publish("later", after: .seconds(60))
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        consumer.finish(held[0])
        consumer.requeue(held[1])
        broker.pass(.seconds(2))

        let topic = try #require(broker.topic())
        #expect(topic.depth == 0)
        #expect(topic.messageCount == 6)
        #expect(topic.messageBytes == 24)
        let channel = try #require(topic.channels.first)
        #expect(channel.depth == 4)
        #expect(channel.inFlightCount == 0)
        #expect(channel.deferredCount == 1)
        #expect(channel.messageCount == 6)
        #expect(channel.requeueCount == 1)
        #expect(channel.timeoutCount == 1)
        let client = try #require(channel.clients.first)
        #expect(client.state == 3)
        #expect(client.readyCount == 0)
        #expect(client.deliveredCount == 3)
        #expect(client.finishCount == 1)
        #expect(client.requeueCount == 1)
        #expect(client.connectedAtSeconds == 1_700_000_000)
        #expect(broker.statistics.producers.map(\.publishCounts) == [[.plays: 6]])
    }

    @Test func `include messages of the current loop iteration`() {
        _ = broker.consumer()
        let producer = broker.client()
        broker.iteration {
            producer.publish("play")
            #expect(broker.channel()?.depth == 1)
        }
    }
}
