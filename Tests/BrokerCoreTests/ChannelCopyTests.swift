import BrokerCore
import NSQWire
import Testing

@Suite struct `A channel` {
    let broker = TestBroker()

    @Test func `receives a copy of every message with the same ID and timestamp`() {
        let one = broker.consumer(of: .count, ready: 10)
        let other = broker.consumer(of: .archive, ready: 10)
        broker.client().publish("play")
        let copies = one.takeMessages()
        #expect(copies.map(\.text) == ["play"])
        #expect(copies == other.takeMessages())
        one.finish(copies)
        #expect(broker.channel(.archive)?.inFlightCount == 1, "the other copy stays")
    }

    @Test func `receives earlier messages if it is the first one, and only new ones if it is not`()
    {
        let producer = broker.client()
        producer.publish("one", "two")
        producer.publish("later", after: .seconds(1))
        #expect(broker.topic()?.depth == 3)

        let first = broker.consumer(of: .count, ready: 10)
        #expect(broker.topic()?.depth == 0)
        let second = broker.consumer(of: .archive, ready: 10)
        producer.publish("three")
        broker.pass(.seconds(1))
        #expect(first.takeBodies() == ["one", "two", "three", "later"])
        #expect(second.takeBodies() == ["three"])
    }

    @Test
    func `receives messages that are published after its creation in the same loop iteration`() {
        let first = broker.consumer(of: .count, ready: 10)
        let producer = broker.client()
        let second = broker.client()
        broker.iteration {
            producer.publish("before")
            second.send(.subscribe(.plays, .archive), .ready(count: 10))
            producer.publish("after")
        }
        #expect(first.takeBodies() == ["before", "after"])
        #expect(second.takeBodies() == ["after"])
    }

    @Test func `keeps its messages without consumers`() {
        broker.consumer().leave()
        let producer = broker.client()
        producer.publish("one", "two")
        #expect(broker.channel()?.depth == 2)
        #expect(broker.consumer(ready: 10).takeBodies() == ["one", "two"])
    }

    @Test func `receives no messages of another topic`() {
        let plays = broker.consumer(of: .count, .plays, ready: 10)
        let likes = broker.consumer(of: .count, .likes, ready: 10)
        let producer = broker.client()
        producer.publish("play", to: .plays)
        producer.publish("like", to: .likes)
        #expect(plays.takeBodies() == ["play"])
        #expect(likes.takeBodies() == ["like"])
    }

    @Test func `receives messages in the order of publishing`() {
        let consumer = broker.consumer(ready: 2_500)
        let producer = broker.client()
        var published: [String] = []
        for batch in 0..<20 {
            let bodies = (0..<50).map { "\(batch).\($0)" }
            producer.multiPublish(bodies)
            producer.publish("single \(batch)")
            published += bodies + ["single \(batch)"]
        }
        let got = consumer.takeMessages()
        #expect(got.map(\.text) == published)
        let ids = got.map(\.id.text)
        #expect(zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 }, "and their IDs grow")
    }
}
