import BrokerCore
import NSQWire
import TestKit
import Testing

@Suite struct `FIN` {
    let broker = TestBroker()

    @Test func `finishes a message without a response`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("play")
        consumer.finish(consumer.takeMessages())
        #expect(consumer.take() == [])
        #expect(broker.channel()?.inFlightCount == 0)
        #expect(broker.channel()?.clients.map(\.finishCount) == [1])
        broker.pass(.seconds(1_000))
        #expect(consumer.takeMessages() == [])
    }

    @Test func `finishes any number of messages in one chunk, in any order`() {
        let consumer = broker.consumer(ready: 2_500)
        broker.client().multiPublish((1...1_000).map { "play \($0)" })
        var random = SeededGenerator(seed: 1)
        consumer.finish(consumer.takeMessages().shuffled(using: &random))
        #expect(consumer.take() == [])
        #expect(broker.channel()?.inFlightCount == 0)
        #expect(broker.channel()?.clients.map(\.finishCount) == [1_000])
    }

    @Test
    func `fails without closing the connection for a finished message, and the run continues`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().multiPublish(["one", "two", "three"])
        let held = consumer.takeMessages()
        consumer.finish(held[0], held[0], held[1], held[2])
        #expect(
            consumer.take() == [.error("E_FIN_FAILED FIN \(held[0].id) failed ID not in flight")])
        #expect(!consumer.isDisconnected)
        #expect(broker.channel()?.inFlightCount == 0)
    }

    @Test func `fails without closing the connection for a message in flight to another consumer`()
        throws
    {
        let consumer = broker.consumer(ready: 1)
        let other = broker.consumer()
        broker.client().publish("play")
        let message = try #require(consumer.takeMessages().first)
        other.finish(message)
        #expect(
            other.take() == [
                .error("E_FIN_FAILED FIN \(message.id) failed client does not own message")
            ])
        #expect(broker.channel()?.inFlightCount == 1)
        consumer.finish(message)
        #expect(consumer.take() == [])
    }

    @Test func `fails without closing the connection for a message of another channel`() throws {
        let consumer = broker.consumer(of: .count, ready: 1)
        let other = broker.consumer(of: .archive)
        broker.client().publish("play")
        let message = try #require(consumer.takeMessages().first)
        other.finish(message)
        #expect(
            other.take() == [.error("E_FIN_FAILED FIN \(message.id) failed ID not in flight")])
    }

    @Test
    func `fails after the timeout while the message is queued or in flight to another consumer`()
        throws
    {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 1_000 }
        broker.client().publish("play")
        let message = try #require(consumer.takeMessages().first)
        consumer.send(.ready(count: 0))
        broker.pass(.seconds(1))
        consumer.finish(message)
        #expect(
            consumer.take() == [.error("E_FIN_FAILED FIN \(message.id) failed ID not in flight")])

        let other = broker.consumer(ready: 1)
        consumer.finish(message)
        #expect(
            consumer.take() == [
                .error("E_FIN_FAILED FIN \(message.id) failed client does not own message")
            ])
        #expect(other.takeMessages().map(\.attempts) == [2])
    }

    @Test func `succeeds after the timeout if the message is in flight to the same consumer again`()
        throws
    {
        let consumer = broker.consumer(ready: 1) { $0.messageTimeout = 1_000 }
        broker.client().publish("play")
        let message = try #require(consumer.takeMessages().first)
        broker.pass(.seconds(1))
        #expect(consumer.takeMessages().map(\.attempts) == [2])
        consumer.finish(message)
        #expect(consumer.take() == [])
        #expect(broker.channel()?.inFlightCount == 0)
    }

    @Test(arguments: [
        "0000000000000000", "ffffffffffffffff", "0123456789ABCDEF", "not-hex-digits!!",
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ])
    func `fails without closing the connection for an unknown ID`(id: String) {
        let consumer = broker.consumer(ready: 1)
        broker.client().publish("play")
        _ = consumer.takeMessages()
        for verb in ["FIN", "TOUCH"] { consumer.send(text: "\(verb) \(id)\n") }
        consumer.send(text: "REQ \(id) 0\n")
        #expect(
            consumer.take() == [
                .error("E_FIN_FAILED FIN \(id) failed ID not in flight"),
                .error("E_TOUCH_FAILED TOUCH \(id) failed ID not in flight"),
                .error("E_REQ_FAILED REQ \(id) failed ID not in flight"),
            ])
        #expect(!consumer.isDisconnected)
    }

    @Test func `fails without closing the connection for a message that was not delivered yet`()
        throws
    {
        let consumer = broker.consumer(ready: 1)
        broker.client().multiPublish(["one", "two"])
        let message = try #require(consumer.takeMessages().first)
        let next = MessageID(message.id.number! + 1)
        consumer.send(.finish(next))
        #expect(consumer.take() == [.error("E_FIN_FAILED FIN \(next) failed ID not in flight")])
        consumer.finish(message)
        #expect(consumer.takeMessages().map(\.id) == [next])
    }

    @Test func `accepts a carriage return before the newline`() {
        let consumer = broker.consumer(ready: 2)
        broker.client().multiPublish(["one", "two"])
        let held = consumer.takeMessages()
        consumer.send(text: "FIN \(held[0].id)\r\nFIN \(held[1].id)\r\n")
        #expect(consumer.take() == [])
        #expect(broker.channel()?.inFlightCount == 0)
    }

    @Test func `finishes messages of several segments in any order`() {
        let consumer = broker.consumer(ready: 2_500)
        let producer = broker.client()
        // Each large body fills a segment of its own. A small body is between two large ones.
        let large = String(repeating: "x", count: 1_048_000)
        for number in 1...6 { producer.publish(large, "small \(number)") }
        let held = consumer.takeMessages()
        consumer.finish(held.filter { $0.text.count < 100 } + held.filter { $0.text.count > 100 })
        #expect(consumer.take() == [])
        #expect(broker.channel()?.inFlightCount == 0)
    }
}
