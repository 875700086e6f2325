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
