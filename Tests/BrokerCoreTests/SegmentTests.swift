import NSQWire
import TestKit
import Testing

@testable import BrokerCore

@Suite struct `A topic's segments` {
    let broker = TestBroker()

    /// Advances the clock by six maintenance intervals, while the clients respond to heartbeats.
    private func settle(_ clients: TestClient...) {
        for _ in 1...6 {
            broker.pass(.seconds(5))
            for client in clients { client.send(.nop) }
        }
    }

    @Test(arguments: [1, 100, 5_000, 60_000])
    func `take all sizes of slabs, and return them`(bodyBytes: Int) {
        let consumer = broker.consumer(ready: 2_500)
        let producer = broker.client()
        let batch = max(1, min(500, 1_000_000 / bodyBytes))
        var next = 0
        var lost = 0
        for _ in 1...(40_000_000 / (bodyBytes + 1_000) / batch) {
            let bodies = (0..<batch).map { offset -> [UInt8] in
                let number = UInt32(next + offset)
                var body: [UInt8] = []
                body.append(bigEndian: number)
                return Array((body + [UInt8](repeating: 9, count: bodyBytes)).prefix(bodyBytes + 4))
            }
            producer.multiPublish(bodies)
            let held = consumer.takeMessages()
            if held.map(\.body) != bodies { lost += 1 }
            consumer.finish(held)
            next += batch
        }
        #expect(lost == 0)
        settle(producer, consumer)
        #expect(broker.statistics.usedMemoryBytes == 0)
        #expect(broker.statistics.spareMemoryBytes < SlabPool.fullSlabBytes * 4)
    }

    @Test(arguments: [0, 4 << 20])
    func `leave at most the configured amount of spare memory`(maxSpareBytes: Int) {
        let broker = TestBroker { $0.maxSpareBytes = maxSpareBytes }
        let consumer = broker.consumer(ready: 2_500)
        let producer = broker.client()
        for _ in 1...40 {
            producer.multiPublish((1...500).map { _ in [UInt8](repeating: 9, count: 1_000) })
        }
        #expect(broker.statistics.usedMemoryBytes > 20_000_000)
        while case let held = consumer.takeMessages(), !held.isEmpty { consumer.finish(held) }
        #expect(broker.statistics.usedMemoryBytes < SlabPool.fullSlabBytes * 2)
        let spare = broker.statistics.spareMemoryBytes
        #expect(spare <= maxSpareBytes && spare > maxSpareBytes - SlabPool.fullSlabBytes)
    }

    @Test func `contain at most 65,536 messages`() {
        let consumer = broker.consumer(ready: 2_500)
        let producer = broker.client()
        for _ in 1...70 { producer.multiPublish((1...2_000).map { _ in "x" }) }
        var got = 0
        var ids: Set<MessageID> = []
        while true {
            let held = consumer.takeMessages()
            if held.isEmpty { break }
            got += held.count
            ids.formUnion(held.map(\.id))
            consumer.finish(held)
        }
        #expect(got == 140_000)
        #expect(ids.count == 140_000)
        settle(producer, consumer)
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test(arguments: [3 << 20, (3 << 20) + 1, (2 << 20) - 38, (2 << 20) - 37])
    func `store a message beyond the largest slab in a slab of its own`(bodyBytes: Int) {
        let broker = TestBroker {
            $0.maxMessageBytes = 8 << 20
            $0.maxBodyBytes = 16 << 20
        }
        let consumer = broker.consumer(ready: 1)
        let producer = broker.client()
        let body = [UInt8](repeating: 5, count: bodyBytes)
        producer.multiPublish([[1], body, [2], body, [3]])
        producer.send(.publish(.plays), body: body)
        var sizes: [Int] = []
        while let message = consumer.takeMessages().first {
            sizes.append(message.body.count)
            // A requeued message is copied for its redelivery, so the copy is checked.
            if message.attempts == 1 {
                consumer.requeue(message)
            } else {
                #expect(message.body.allSatisfy { $0 == message.body[0] })
                consumer.finish(message)
            }
        }
        #expect(
            sizes.sorted()
                == ([1, 1, 1] + Array(repeating: bodyBytes, count: 3)).flatMap {
                    [$0, $0]
                }.sorted())
        broker.pass(.seconds(10))
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test func `are released after the last channel has finished their messages`() {
        let quick = broker.consumer(of: .count, ready: 2_500)
        let late = broker.consumer(of: .archive)
        let producer = broker.client()
        let body = [UInt8](repeating: 1, count: 10_000)
        for _ in 1...1_000 { producer.send(.publish(.plays), body: body) }
        quick.finish(quick.takeMessages())
        settle(quick, late, producer)
        #expect(broker.statistics.usedMemoryBytes > 10_000_000)
        late.send(.ready(count: 2_500))
        let held = late.takeMessages()
        #expect(held.count == 1_000)
        late.finish(held)
        settle(quick, late, producer)
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test(arguments: ["empty", "delete channel", "delete topic", "leave"])
    func `are released when their messages are discarded`(way: String) {
        let consumer = broker.consumer(of: .brief, ready: 100)
        let producer = broker.client()
        let body = [UInt8](repeating: 1, count: 10_000)
        for _ in 1...500 { producer.send(.publish(.plays), body: body) }
        for number in 1...20 { producer.publish("later", after: .seconds(60 + number)) }
        switch way {
        case "empty":
            broker.control { $0.emptyChannel(.brief, of: .plays, at: $1) }
        case "delete channel":
            broker.control { $0.deleteChannel(.brief, of: .plays, at: $1) }
        case "delete topic":
            broker.control { $0.deleteTopic(.plays, at: $1) }
        default: consumer.leave()
        }
        settle(consumer, producer)
        #expect(broker.statistics.usedMemoryBytes == 0)
        #expect(!producer.isDisconnected)
    }

    @Test(arguments: [false, true])
    func `stay while no channel has received their messages`(isPaused: Bool) {
        let producer = broker.client()
        if isPaused {
            broker.consumer().leave()
            broker.control { $0.pauseTopic(.plays, true, at: $1) }
        }
        let bodies = (1...300).map { [UInt8](repeating: UInt8($0 % 256), count: 20_000) }
        for batch in 0..<10 { producer.multiPublish(Array(bodies[batch * 30..<batch * 30 + 30])) }
        for number in 1...5 { producer.publish("later \(number)", after: .seconds(1)) }
        settle(producer)
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        let consumer = broker.consumer(ready: 2_500)
        broker.pass(.zero)
        let held = consumer.takeMessages()
        #expect(held.prefix(300).map(\.body) == bodies)
        #expect(held.dropFirst(300).map(\.text) == (1...5).map { "later \($0)" })
        consumer.finish(held)
        settle(producer, consumer)
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test func `are released with their topic although its producer is still connected`() {
        let producer = broker.client()
        producer.publish("play")
        producer.publish("later", after: .seconds(1))
        broker.control { $0.deleteTopic(.plays, at: $1) }
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test func `are small for topics with few messages`() {
        let broker = TestBroker()
        let producer = broker.client()
        let topics = (1...100).map { TopicName("topic\($0)")! }
        let consumers = topics.map { broker.consumer(of: .count, $0, ready: 2_500) }
        let body = [UInt8](repeating: 1, count: 1_000)
        func round(messages: Int) {
            for (topic, consumer) in zip(topics, consumers) {
                producer.multiPublish((1...messages).map { _ in body }, to: topic)
                consumer.finish(consumer.takeMessages())
            }
        }
        // After many messages, one is published every few seconds.
        round(messages: 400)
        for _ in 1...20 {
            broker.pass(.seconds(3))
            round(messages: 1)
        }
        #expect(broker.statistics.usedMemoryBytes <= 100 * (32 << 10))
    }
}

@Suite struct `A segment with few unfinished messages` {
    let broker = TestBroker()
    let producer: TestClient
    let consumer: TestClient

    init() {
        producer = broker.client()
        consumer = broker.consumer(ready: 2_500) { $0.messageTimeout = 900_000 }
    }

    /// Publishes messages that fill several slabs, and finishes all but every `step`th of them.
    private func leaveBehind(every step: Int) -> [TestMessage] {
        var kept: [TestMessage] = []
        for round in 0..<10 {
            producer.multiPublish(
                (0..<200).map { number in
                    Array("\(round).\(number) ".utf8) + [UInt8](repeating: 0x2e, count: 4_000)
                })
            let held = consumer.takeMessages()
            kept += held.enumerated().filter { $0.offset % step == 0 }.map(\.element)
            consumer.finish(held.enumerated().filter { $0.offset % step != 0 }.map(\.element))
        }
        #expect(consumer.take() == [])
        return kept
    }

    private func settle() {
        for _ in 1...6 {
            broker.pass(.seconds(5))
            consumer.send(.nop)
            producer.send(.nop)
        }
        consumer.forgetAnswers()
    }

    @Test func `is compacted to the size of these messages`() {
        let kept = leaveBehind(every: 200)
        #expect(kept.count == 10)
        let before = broker.statistics.usedMemoryBytes
        settle()
        #expect(broker.statistics.usedMemoryBytes < before / 4)
    }

    @Test func `supports FIN, TOUCH, REQ and redelivery after its compaction`() {
        let kept = leaveBehind(every: 40)
        settle()
        consumer.touch(kept[0])
        consumer.finish(kept[1])
        consumer.requeue(kept[2], kept[3], kept[4])
        let again = consumer.takeMessages()
        #expect(again.map(\.atFirst) == Array(kept[2...4]))
        #expect(again.map(\.attempts) == [2, 2, 2])
        consumer.finish([kept[0]] + kept[5...] + again)
        #expect(consumer.take() == [])
        settle()
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test func `is compacted again when fewer messages are left`() {
        let kept = leaveBehind(every: 16)
        settle()
        let once = broker.statistics.usedMemoryBytes
        consumer.finish(Array(kept.dropLast()))
        settle()
        #expect(broker.statistics.usedMemoryBytes < once / 4)
        consumer.requeue(kept.last!)
        #expect(consumer.takeMessages().map(\.atFirst) == [kept.last!])
    }

    @Test func `is not compacted again without a benefit`() {
        _ = leaveBehind(every: 16)
        settle()
        let slabs = broker.core.slabsOfPlays
        settle()
        #expect(broker.core.slabsOfPlays == slabs)
    }

    @Test func `keeps messages that only one channel still needs`() {
        let other = broker.consumer(of: .archive, ready: 2_500) { $0.messageTimeout = 900_000 }
        let kept = leaveBehind(every: 100)
        let others = other.takeMessages()
        let second = others[777]
        other.finish(others.filter { $0 != second })
        for _ in 1...3 {
            settle()
            other.send(.nop)
        }
        consumer.requeue(kept[3])
        other.forgetAnswers()
        other.requeue(second)
        #expect(consumer.takeMessages().map(\.atFirst) == [kept[3]])
        #expect(other.takeMessages().map(\.atFirst) == [second])
    }

    @Test func `is sent completely to a client that reads slowly`() {
        let slow = broker.consumer(of: .archive, ready: 100) { $0.heartbeatInterval = 60_000 }
        slow.isReading = false
        let kept = leaveBehind(every: 200)
        broker.pass(.seconds(25))
        #expect(kept.count == 10)
        slow.readAgain()
        let got = slow.takeMessages()
        #expect(got.count == 100)
        #expect(got.allSatisfy { $0.body.count > 4_000 && $0.body.last == 0x2e })
    }
}

extension Broker {
    /// The slabs that contain the messages of ``TopicName/plays``.
    fileprivate var slabsOfPlays: [ObjectIdentifier] {
        topics[.plays]!.segments.all.map { ObjectIdentifier($0.slab) }
    }
}
