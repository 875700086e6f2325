import BrokerCore
import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

/// Channels whose messages are on disk after a restart.
@Suite(.blocking) struct `Messages that are read back from disk` {
    private static let topicCount = 20
    private static let bodies = (10..<35).map { "\($0) " + String(repeating: "x", count: 10_000) }

    private static func topic(_ number: Int) -> TopicName { TopicName("topic\(number)")! }

    private let disk: MemoryDisk

    /// Topics with 250 KB of messages each.
    init() throws {
        let broker = try JournaledBroker()
        for number in 1...Self.topicCount {
            _ = broker.consumer(of: .count, Self.topic(number), ready: 0)
            let publisher = broker.client()
            var bytes: [UInt8] = []
            Command.appendMultiPublish(
                Self.topic(number), Self.bodies.map { Array($0.utf8) }, to: &bytes)
            publisher.send(bytes)
        }
        disk = broker.disk.copy()
    }

    private func restart(maxMemoryBytes: Int) throws -> JournaledBroker {
        var options = BrokerOptions()
        options.maxMemoryBytes = maxMemoryBytes
        let broker = try JournaledBroker(on: disk, brokerOptions: options)
        #expect(broker.core.memoryBytes.used == 0)
        return broker
    }

    private func consumers(of broker: JournaledBroker) -> [JournaledClient] {
        (1...Self.topicCount).map { broker.consumer(of: .count, Self.topic($0)) }
    }

    @Test func `stay within the memory limit, also for consumers that do not read`() throws {
        let broker = try restart(maxMemoryBytes: 1 << 20)
        let consumers = consumers(of: broker)
        #expect(broker.core.memoryBytes.used <= 3 * 256 << 10)
        let unread = consumers.map(\.session.outbox.byteCount)
        #expect(unread.allSatisfy { $0 >= 10_000 })
        // Two consumers receive a segment that stays in memory. Each of the others receives 64 KiB and
        // one message.
        #expect(unread.filter { $0 > 75 << 10 }.count == 2)
        #expect(broker.core.statistics(at: broker.now).accountedBytes[.output]! <= 20 * 128 << 10)
    }

    @Test(arguments: [1, 300_000, 1 << 20, 2 << 30])
    func `reach all consumers that read, with any limit`(maxMemoryBytes: Int) throws {
        let broker = try restart(maxMemoryBytes: maxMemoryBytes)
        var received = consumers(of: broker).map { consumer in (consumer, [String]()) }
        for index in received.indices {
            received[index].1 += received[index].0.received().dropFirst()
        }
        #expect(received.allSatisfy { $0.1 == Self.bodies })
        for (consumer, bodies) in received { consumer.finish(bodies) }
        #expect(broker.core.unfinishedCount == 0)
        #expect(broker.core.memoryBytes.used == 0)
    }

    @Test func `are redelivered while the memory is full`() throws {
        let broker = try restart(maxMemoryBytes: 1)
        let consumer = broker.consumer(of: .count, Self.topic(1))
        let bodies = Array(consumer.received().dropFirst())
        #expect(bodies == Self.bodies)
        for body in bodies.reversed() { consumer.requeue(body) }
        #expect(consumer.received().sorted() == Self.bodies)
        #expect(broker.core.memoryBytes.used == 0)
    }

    @Test func `reach two consumers of a channel while the memory is full`() throws {
        let broker = try restart(maxMemoryBytes: 1)
        let consumers = (1...2).map { _ in broker.consumer(of: .count, Self.topic(1), ready: 0) }
        for consumer in consumers { consumer.send(.ready(count: 2_500)) }
        let bodies = consumers.flatMap { $0.received().dropFirst() }
        #expect(bodies.sorted() == Self.bodies)
    }

    @Test func `leave a quarter of the memory to publishers`() throws {
        let broker = try restart(maxMemoryBytes: 8 << 20)
        let consumers = consumers(of: broker)
        #expect(broker.core.memoryBytes.used <= 6 << 20)
        broker.publish("new")
        #expect(consumers.count == Self.topicCount)
    }

    @Test func `are not kept in memory by a relocation`() throws {
        let options = BrokerOptions()
        let broker = try JournaledBroker(on: disk, brokerOptions: options) {
            $0.maxBytesPerFile = 1_000
        }
        broker.publish("new")
        broker.advanceTime(by: .seconds(60))
        #expect(broker.core.memoryBytes.used <= 2 << 20)
    }
}
