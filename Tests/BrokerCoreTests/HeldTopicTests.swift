import BrokerCore
import NSQWire
import Testing

@Suite struct `A topic that waits for a channel lookup` {
    let broker = TestBroker()

    init() { broker.core.holdsNewTopics = true }

    private func start(with channels: ChannelName...) {
        broker.iteration { broker.core.startTopic(.plays, with: channels, at: broker.now) }
    }

    @Test func `accepts messages and consumers, and dispatches when the lookup completes`() {
        let consumer = broker.consumer(ready: 10)
        let producer = broker.client()
        producer.publish("one", "two")
        #expect(consumer.takeMessages() == [])
        #expect(broker.topic()?.depth == 2)
        start(with: .archive, .brief)
        #expect(consumer.takeBodies() == ["one", "two"])
        #expect(broker.channel(.archive)?.depth == 2)
        #expect(broker.channel(.brief) == nil, "an ephemeral channel comes with its consumers")
        producer.publish("three")
        #expect(consumer.takeBodies() == ["three"])
    }

    @Test func `keeps deferred messages and their deadlines until the lookup completes`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("later", after: .seconds(2))
        broker.pass(.seconds(1))
        start()
        #expect(consumer.takeMessages() == [])
        broker.pass(.seconds(1))
        #expect(consumer.takeBodies() == ["later"])
    }

    @Test func `stays paused after the lookup`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("one")
        broker.control { $0.pauseTopic(.plays, true, at: $1) }
        start()
        #expect(consumer.takeMessages() == [])
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        #expect(consumer.takeBodies() == ["one"])
    }

    @Test func `is started only once, and only if it waits`() {
        broker.core.holdsNewTopics = false
        let consumer = broker.consumer(ready: 10)
        start(with: .archive)
        #expect(broker.channel(.archive) == nil)
        broker.client().publish("one")
        #expect(consumer.takeBodies() == ["one"])
    }
}
