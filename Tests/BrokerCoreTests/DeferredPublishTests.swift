import BrokerCore
import NSQWire
import Testing

@Suite struct `DPUB` {
    let broker = TestBroker()
    let producer: TestClient

    init() {
        producer = broker.client()
    }

    @Test func `delivers a message at its deadline and not before, with 1 attempt`() {
        let consumer = broker.consumer(ready: 10)
        producer.publish("later", after: .milliseconds(1_500))
        #expect(producer.take() == [.ok])
        let channel = broker.channel()
        #expect(channel?.deferredCount == 1)
        #expect(channel?.depth == 0)
        #expect(channel?.messageCount == 1)
        broker.pass(.milliseconds(1_499))
        #expect(consumer.takeMessages() == [])
        broker.pass(.milliseconds(1))
        #expect(consumer.takeMessages().map(\.attempts) == [1])
        #expect(broker.channel()?.deferredCount == 0)
    }

    @Test func `delivers a message without a delay like PUB`() {
        let consumer = broker.consumer(ready: 10)
        producer.publish("now", after: .zero)
        #expect(consumer.takeBodies() == ["now"])
    }

    @Test func `defers a message in each channel independently`() {
        let one = broker.consumer(of: .count, ready: 10)
        let other = broker.consumer(of: .archive, ready: 10)
        producer.publish("later", after: .seconds(1))
        broker.pass(.seconds(1))
        let copies = one.takeMessages()
        #expect(copies == other.takeMessages())
        one.finish(copies)
        other.requeue(copies[0])
        #expect(other.takeMessages().map(\.attempts) == [2])
        #expect(one.takeMessages() == [])
    }

    @Test func `delivers each message at its own deadline, in any order of publishing`() {
        let consumer = broker.consumer(ready: 100)
        for delay in [300, 100, 200, 100, 5] {
            producer.publish("\(delay)", after: .milliseconds(delay))
        }
        producer.publish("now")
        var got: [String] = []
        for _ in 1...40 {
            got += consumer.takeBodies()
            broker.pass(.milliseconds(10))
        }
        #expect(got == ["now", "5", "100", "100", "200", "300"])
    }

    @Test func `keeps a message for the first channel, which delivers it at once if it is due`() {
        producer.publish("short", after: .seconds(1))
        producer.publish("long", after: .seconds(30))
        broker.pass(.seconds(10))
        #expect(broker.topic()?.depth == 2)
        let consumer = broker.consumer(ready: 10)
        broker.pass(.zero)
        #expect(consumer.takeBodies() == ["short"])
        broker.pass(.seconds(20))
        #expect(consumer.takeBodies() == ["long"])
    }

    @Test func `delivers a message on time although a consumer connects and disconnects`() {
        let first = broker.consumer(ready: 10)
        producer.publish("later", after: .seconds(1))
        first.leave()
        broker.pass(.seconds(2))
        #expect(broker.channel()?.depth == 1)
        #expect(broker.consumer(ready: 1).takeBodies() == ["later"])
    }

    @Test func `accepts the maximum delay`() {
        _ = broker.consumer(ready: 10)
        producer.publish("later", after: .seconds(3_600))
        #expect(producer.take() == [.ok])
    }

    @Test func `accepts messages of any size among messages that are not deferred`() {
        let consumer = broker.consumer(ready: 100)
        let large = String(repeating: "x", count: 300_000)
        for number in 1...20 {
            producer.publish("\(large) \(number)", after: .milliseconds(number))
            producer.publish("now \(number)")
        }
        #expect(consumer.takeMessages().count == 20)
        broker.pass(.milliseconds(20))
        #expect(consumer.takeBodies() == (1...20).map { "\(large) \($0)" })
    }
}
