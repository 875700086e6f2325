import NSQWire
import Testing

@testable import BrokerCore

@Suite struct `The memory account` {
    @Test func `saturates`() {
        let account = MemoryAccount()
        account.add(.max, to: .input)
        account.add(.max, to: .output)
        #expect(account.total == .max)
        #expect(account[.output] == .max)
    }

    @Test func `removes the memory of owners that are gone`() {
        let account = MemoryAccount()
        do {
            var memory = AccountedMemory(account, .layers)
            memory.set(10)
            memory.set(7)
            #expect(account[.layers] == 7)
        }
        #expect(account.total == 0)
    }

    @Test func `contains responses until they are released or refused`() {
        var (responses, outbox) = (PendingResponses(), Outbox())
        responses.appendPublish(.publish)
        responses.appendPublish(.publish)
        responses.appendOK(to: &outbox)
        responses.append([1, 2, 3], to: &outbox)
        #expect(responses.byteCount >= 33)
        responses.didFlush(1)
        responses.appendPublish(.multiPublish)
        #expect(responses.refuseNext(MessageLogError("disk full"), to: &outbox) != nil)
        #expect(responses.release(upTo: 1, nil, to: &outbox) == nil)
        #expect(responses.byteCount == 0)
        #expect(responses.isEmpty)
    }

    @Test func `contains the bytes that a client has not read`() {
        let broker = TestBroker()
        let consumer = broker.consumer()
        consumer.isReading = false
        consumer.send((1...100).map { .touch(MessageID(UInt64($0))) })
        #expect(broker.core.memoryAccount[.output] >= consumer.session.outbox.byteCount)
        consumer.readAgain()
        #expect(broker.core.memoryAccount[.output] == 0)
    }
}

@Suite struct `Deferred messages for many channels` {
    private static let limit = 8 << 20
    private let broker = TestBroker { $0.maxMemoryBytes = Self.limit }
    private let producer: TestClient

    init() {
        producer = broker.client()
        for number in 0..<20 { _ = broker.consumer(of: ChannelName("channel\(number)")!) }
    }

    private var memory: Int {
        broker.core.memoryBytes.used + broker.core.memoryAccount.total
    }

    /// Publishes deferred messages until the broker refuses one, and returns the number of accepted ones.
    private func fill() -> Int {
        var count = 0
        while !producer.isDisconnected, count < 200_000 {
            broker.iteration { for _ in 0..<100 { producer.publish("play", after: .seconds(1)) } }
            count += producer.take().count { $0 == .ok }
        }
        return count
    }

    @Test func `are refused at the limit, and none that is accepted is lost`() {
        let count = fill()
        #expect(producer.isDisconnected)
        #expect((1_000..<8_000).contains(count))
        #expect(memory <= Self.limit * 5 / 4)
        #expect(broker.topic()!.channels.map(\.deferredCount) == (0..<20).map { _ in count })
    }

    @Test func `count before the topic dispatches them`() {
        broker.control { $0.pauseTopic(.plays, true, at: $1) }
        let count = fill()
        #expect((1_000..<8_000).contains(count))
        #expect(memory <= Self.limit * 5 / 4)
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        #expect(memory <= Self.limit * 5 / 4)
        #expect(broker.topic()!.channels.map(\.deferredCount) == (0..<20).map { _ in count })
    }

    @Test func `give their memory back when the topic is deleted`() {
        _ = fill()
        broker.control { $0.deleteTopic(.plays, at: $1) }
        #expect(broker.core.memoryAccount[.deliveries] == 0)
        let producer = broker.client()
        producer.publish("again", after: .seconds(1))
        #expect(producer.take() == [.ok])
    }

    @Test func `give their memory back when they are finished`() {
        let count = fill()
        broker.pass(.seconds(1))
        for name in broker.topic()!.channels.map(\.name) {
            let consumer = broker.consumer(of: name, ready: 2_500)
            var finished = 0
            while case let messages = consumer.takeMessages(), !messages.isEmpty {
                finished += messages.count
                consumer.finish(messages)
            }
            #expect(finished == count)
        }
        broker.pass(.seconds(10))
        #expect(memory < 1 << 20)
    }
}
