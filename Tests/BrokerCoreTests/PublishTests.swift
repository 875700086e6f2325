import BrokerCore
import NSQWire
import TallyBasics
import Testing

@Suite struct `Publishing` {
    let broker = TestBroker()

    @Test func `returns OK for each command, and creates the topic`() {
        let producer = broker.client()
        producer.publish("one")
        producer.multiPublish(["two", "three"])
        producer.publish("four", after: .seconds(1))
        #expect(producer.take() == [.ok, .ok, .ok])
        #expect(broker.core.drainEvents() == [.topicCreated(.plays)])
        #expect(broker.topic()?.messageCount == 4)
        #expect(broker.topic()?.messageBytes == 15)
    }

    @Test func `gives a message the time of the wall clock and 1 attempt`() throws {
        let consumer = broker.consumer(ready: 1)
        broker.pass(.milliseconds(1_234))
        broker.client().publish("play")
        let message = try #require(consumer.takeMessages().first)
        #expect(message.timestampNanoseconds == Timestamp.start.wall + 1_234_000_000)
        #expect(message.attempts == 1)
        #expect(message.id.number != nil)
    }

    @Test func `accepts any bytes up to the size limit`() {
        let consumer = broker.consumer(ready: 3)
        let producer = broker.client()
        let every = (0...255).map { UInt8($0) }
        let largest = [UInt8](repeating: 7, count: 1_048_576)
        producer.send(.publish(.plays), body: every)
        producer.send(.publish(.plays), body: largest)
        producer.multiPublish([largest])
        let got = consumer.takeMessages().map(\.body)
        #expect(got == [every, largest, largest])
    }

    @Test func `succeeds in every state of the connection`() {
        let client = broker.consumer(ready: 1)
        client.publish("subscribed")
        #expect(client.take().contains(.ok))
        client.send(.close)
        client.publish("closing")
        #expect(client.take() == [.response("CLOSE_WAIT"), .ok])
        #expect(broker.topic()?.messageCount == 2)
    }

    @Test func `delivers the messages of each topic separately`() {
        let producer = broker.client()
        for _ in 1...3 {
            producer.publish("play", to: .plays)
            producer.publish("like", to: .likes)
        }
        #expect(broker.topic(.plays)?.messageCount == 3)
        #expect(broker.topic(.likes)?.messageCount == 3)
        #expect(broker.statistics.producers.map(\.publishCounts) == [[.plays: 3, .likes: 3]])
    }

    @Test func `accepts carriage returns before newlines`() {
        let producer = broker.client()
        producer.send(text: "PUB plays\r\n\0\0\0\u{2}\r\nNOP\r\nPUB plays\n\0\0\0\u{1}x")
        #expect(producer.take() == [.ok, .ok])
        #expect(broker.consumer(ready: 9).takeBodies() == ["\r\n", "x"])
    }
}

@Suite struct `MPUB` {
    let broker = TestBroker()

    /// An MPUB with `bodies` and the given sizes and count.
    private func batch(
        count: Int32, total: Int32 = 100, _ messages: [(size: Int32, body: String)]
    ) -> [UInt8] {
        var bytes = Array("MPUB plays\n".utf8)
        bytes.append(bigEndian: total)
        bytes.append(bigEndian: count)
        for message in messages {
            bytes.append(bigEndian: message.size)
            bytes += Array(message.body.utf8)
        }
        return bytes
    }

    @Test(
        arguments: [
            (-1, "E_BAD_BODY MPUB invalid message count -1"),
            (0, "E_BAD_BODY MPUB invalid message count 0"),
            (1_048_576, "E_BAD_BODY MPUB invalid message count 1048576"),
        ] as [(Int32, String)])
    func `returns an error for an invalid count after it has created the topic`(
        count: Int32, error: String
    ) {
        let producer = broker.client()
        producer.send(batch(count: count, []))
        #expect(producer.take() == [.error(error)])
        #expect(producer.isDisconnected)
        #expect(broker.topic()?.messageCount == 0)
    }

    @Test(
        arguments: [
            (0, "E_BAD_MESSAGE MPUB invalid message(2) body size 0"),
            (-3, "E_BAD_MESSAGE MPUB invalid message(2) body size -3"),
            (1_048_577, "E_BAD_MESSAGE MPUB message too big 1048577 > 1048576"),
        ] as [(Int32, String)])
    func `publishes no message if one of them is invalid`(size: Int32, error: String) {
        let consumer = broker.consumer(ready: 10)
        let producer = broker.client()
        producer.send(batch(count: 4, [(1, "a"), (1, "b"), (size, "")]))
        #expect(producer.take() == [.error(error)])
        #expect(consumer.takeMessages() == [])
        #expect(broker.topic()?.messageCount == 0)
    }

    @Test func `publishes nothing before its last byte has arrived`() {
        let consumer = broker.consumer(ready: 10)
        let producer = broker.client()
        let bytes = batch(count: 2, [(3, "one"), (3, "two")])
        producer.send(Array(bytes.dropLast()))
        #expect(broker.topic()?.messageCount == 0)
        producer.send(Array(bytes.suffix(1)))
        #expect(producer.take() == [.ok])
        #expect(consumer.takeBodies() == ["one", "two"])
    }

    @Test func `publishes nothing if the client disconnects in the middle`() {
        let producer = broker.client()
        producer.send(batch(count: 2, [(3, "one")]))
        producer.leave()
        #expect(broker.topic()?.messageCount == 0)
    }

    @Test func `is parsed by its count and sizes, and ignores its total`() {
        let consumer = broker.consumer(ready: 10)
        let producer = broker.client()
        producer.send(batch(count: 1, total: 1, [(3, "one")]) + Array("NOP\n".utf8))
        #expect(producer.take() == [.ok])
        #expect(consumer.takeBodies() == ["one"])
    }

    @Test func `returns an error for a body beyond the limit, whatever its total`() {
        let broker = TestBroker { $0.maxBodyBytes = 100 }
        let producer = broker.client()
        let body = String(repeating: "x", count: 40)
        producer.send(batch(count: 3, [(40, body), (40, body), (40, "")]))
        #expect(producer.take() == [.error("E_BAD_BODY MPUB body too big 136 > 100")])
        #expect(producer.isDisconnected)
        #expect(broker.topic()?.messageCount == 0)
    }

    @Test func `accepts a body of the maximum size`() {
        let broker = TestBroker { $0.maxBodyBytes = 104 }
        let producer = broker.client()
        producer.multiPublish((1...20).map { _ in "x" })
        #expect(producer.take() == [.ok])
        #expect(broker.topic()?.messageCount == 20)
    }
}
