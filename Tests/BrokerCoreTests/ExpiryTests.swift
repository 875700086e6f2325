import BrokerCore
import NSQWire
import TallyBasics
import Testing

@Suite struct `A message that is older than the lifetime of its topic` {
    private let broker = TestBroker {
        $0.lifetimes.defaultLifetime = .seconds(10)
        $0.lifetimes.byTopic[.likes] = .zero
    }

    @Test func `is not delivered`() {
        let consumer = broker.consumer()
        let producer = broker.client()
        producer.publish("old")
        broker.passUnnoticed(.seconds(5))
        producer.publish("fresh")
        // At its deadline a message is still delivered.
        broker.passUnnoticed(.seconds(5) + .nanoseconds(1))
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["fresh"])
        #expect(broker.channel()?.expiredCount == 1)
        #expect(broker.channel()?.depth == 0)
    }

    @Test func `is delivered in a topic with another lifetime`() {
        let consumer = broker.consumer(of: .count, .likes)
        broker.client().publish("old", to: .likes)
        broker.passUnnoticed(.seconds(3_600))
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["old"])
        _ = broker.control { $0.setLifetime(.seconds(1), of: .likes, at: $1) }
        broker.client().publish("new", to: .likes)
        #expect(consumer.takeBodies() == ["new"])
    }

    @Test func `is not redelivered, but can be finished in flight`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        broker.passUnnoticed(.seconds(11))
        consumer.finish(held[0])
        consumer.requeue(held[1])
        #expect(consumer.take() == [])
        #expect(broker.channel()?.expiredCount == 1)
        #expect(broker.channel()?.depth == 0)
    }

    @Test func `expires when its deferral ends`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("later", after: .seconds(11))
        consumer.forgetAnswers()
        broker.pass(.seconds(12))
        #expect(consumer.takeBodies() == [])
        #expect(broker.channel()?.deferredCount == 0)
        #expect(broker.channel()?.expiredCount == 1)
    }

    @Test func `expires without a consumer`() {
        _ = broker.consumer()
        broker.client().multiPublish((0..<100).map { "\($0)" })
        #expect(broker.channel()?.depth == 100)
        broker.pass(.seconds(20))
        #expect(broker.channel()?.depth == 0)
        #expect(broker.channel()?.expiredCount == 100)
    }

    // MARK: Kept

    private func keeping() -> TestBroker {
        TestBroker {
            $0.lifetimes.defaultLifetime = .seconds(10)
            $0.keepsExpired = true
        }
    }

    private func failed(_ broker: TestBroker, _ channel: ChannelName = .count) -> [FailedMessage] {
        broker.core.failedMessages(
            of: channel, .plays, FailedSelection(limit: 5_000), at: broker.now
        )
        .messages.map(\.message)
    }

    @Test func `moves to the failed set if expired messages are kept`() {
        let broker = keeping()
        let consumer = broker.consumer()
        broker.client().multiPublish(["one", "two"])
        broker.passUnnoticed(.seconds(11))
        broker.client().publish("fresh")
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["fresh"])
        let messages = failed(broker)
        #expect(messages.map { String(decoding: $0.body, as: UTF8.self) } == ["one", "two"])
        #expect(messages.map(\.reason) == [.expired, .expired])
        #expect(messages.map(\.attempts) == [0, 0])
        #expect(broker.channel()?.expiredCount == 2)
        #expect(broker.channel()?.failedCount == 2)
        #expect(broker.channel()?.depth == 0)
        #expect(broker.channel()?.deferredCount == 0)
    }

    @Test func `moves to the failed set after a requeue, and is new after a retry`() throws {
        let broker = keeping()
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("one")
        let held = consumer.takeMessages()
        broker.passUnnoticed(.seconds(11))
        consumer.requeue(held[0])
        #expect(consumer.takeBodies() == [])
        #expect(failed(broker).map(\.attempts) == [1])
        let isRetried = broker.control { core, now in
            let selection = FailedSelection(limit: 1)
            return (try? core.retryFailed(of: .count, .plays, selection, at: now))??.count == 1
        }
        #expect(isRetried)
        broker.pass(.seconds(1))
        #expect(consumer.takeBodies() == ["one"])
    }

    @Test func `moves to the failed set without a consumer, within the limit of an iteration`() {
        let broker = keeping()
        _ = broker.consumer()
        let body = String(repeating: "x", count: 1_000)
        broker.client().multiPublish([String](repeating: body, count: 3_000))
        broker.pass(.seconds(30))
        #expect(failed(broker).count == 3_000)
        #expect(broker.channel()?.depth == 0)
        #expect(broker.channel()?.deferredCount == 0)
    }

    @Test func `is lost in an ephemeral channel and in a failed set`() {
        let broker = keeping()
        let consumer = broker.consumer(of: .brief)
        broker.client().publish("one")
        broker.passUnnoticed(.seconds(11))
        consumer.send(.ready(count: 1))
        #expect(consumer.takeBodies() == [])
        #expect(broker.core.failedSets.isEmpty)
    }

    @Test func `is delivered if there is no memory for its copy`() {
        let broker = TestBroker {
            $0.lifetimes.defaultLifetime = .seconds(10)
            $0.lifetimes.byTopic[.likes] = .zero
            $0.keepsExpired = true
            $0.maxMemoryBytes = 900_000
        }
        let consumer = broker.consumer()
        broker.client().publish("one")
        for size in [50_000, 500] {
            let producer = broker.client()
            repeat {
                producer.publish(String(repeating: "x", count: size), to: .likes)
            } while producer.take() == [.ok]
        }
        broker.passUnnoticed(.seconds(11))
        consumer.send(.ready(count: 1))
        #expect(consumer.takeBodies() == ["one"])
        #expect(broker.core.failedSets.isEmpty)
    }

    // MARK: Work

    @Test func `expires in steps within the budget of an iteration`() {
        let broker = TestBroker {
            $0.lifetimes.defaultLifetime = .seconds(1)
            $0.stepsPerIteration = 10
        }
        let consumer = broker.consumer()
        broker.client().multiPublish((0..<1_000).map { "\($0)" })
        broker.passUnnoticed(.seconds(2))
        broker.client().publish("fresh")
        let before = broker.iterationCount
        consumer.send(.ready(count: 1))
        #expect(consumer.takeBodies() == ["fresh"])
        #expect(broker.iterationCount - before > 30)
    }
}
