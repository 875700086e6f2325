import BrokerCore
import NSQBroker
import NSQWire
import Testing

@Suite struct `A broker whose disk is full` {
    private let body = String(repeating: "x", count: 50_000)

    /// Publishes until it is refused.
    ///
    /// - Returns: how many were accepted.
    private func fill(_ broker: JournaledBroker, expecting reason: String) -> Int {
        var count = 0
        while count < 1_000 {
            let publisher = broker.client()
            publisher.publish("\(count) \(body)")
            let answer = publisher.heard()
            guard answer == ["OK"] else {
                #expect(answer == ["E_PUB_FAILED PUB failed \(reason)"])
                return count
            }
            count += 1
        }
        Issue.record("it is never full")
        return count
    }

    private func full(_ capacity: Int) throws -> (JournaledBroker, Int) {
        let disk = MemoryDisk()
        disk.capacity = capacity
        let broker = try JournaledBroker(on: disk)
        let count = fill(broker, expecting: MemoryDisk.full)
        #expect(count > 10)
        return (broker, count)
    }

    @Test func `has room for notes, and takes messages again when others are finished`() throws {
        let (broker, count) = try full(8 << 20)
        let consumer = broker.consumer()
        let messages = consumer.heard().dropFirst()
        #expect(messages.count == count)
        consumer.finish(messages)
        broker.pass(.seconds(11))
        broker.tryAgain()
        broker.finishSyncs()
        #expect(broker.journal.failure == nil)
        broker.publish("after")
        #expect(consumer.heard() == ["after"])
        // What was finished is noted, and does not come again.
        #expect(try JournaledBroker(on: broker.disk).delivered() == ["after"])
    }

    @Test func `is ill as long as no message fits, though notes are written`() throws {
        let (broker, count) = try full(8 << 20)
        let consumer = broker.consumer(ready: 2)
        let messages = consumer.heard().dropFirst()
        for _ in 1...3 {
            #expect(broker.journal.failure == LedgerError(MemoryDisk.full))
            broker.tryAgain()
            broker.finishSyncs()
        }
        consumer.finish(messages)
        #expect(broker.journal.failure == LedgerError(MemoryDisk.full))
        #expect(broker.health.count == 1)
        #expect(try JournaledBroker(on: broker.disk).delivered().count == count - 2)
    }

    /// Others have taken what was set aside for them.
    @Test func `takes messages again, though there was no room even for a note`() throws {
        let (broker, count) = try full(8 << 20)
        let consumer = broker.consumer()
        let messages = consumer.heard().dropFirst()
        #expect(messages.count == count)
        broker.disk.failing = [.write: MemoryDisk.full]
        consumer.finish(messages)
        broker.pass(.seconds(11))
        broker.tryAgain()
        broker.finishSyncs()
        #expect(broker.journal.failure == LedgerError(MemoryDisk.full))
        broker.disk.failing = [:]
        for _ in 1...2 {
            broker.tryAgain()
            broker.finishSyncs()
        }
        #expect(broker.journal.failure == nil)
        broker.publish("after")
        #expect(try JournaledBroker(on: broker.disk).delivered() == ["after"])
    }

    @Test func `delivers all that was accepted after it was started again`() throws {
        let (broker, count) = try full(8 << 20)
        let next = try JournaledBroker(on: broker.disk)
        #expect(next.report.damages == [])
        #expect(next.delivered().count == count)
    }
}

@Suite struct `A journal with --max-disk-bytes` {
    private static let bound = 4 << 20
    private static let reason = "the journal is full at \(bound) bytes"
    private let body = String(repeating: "x", count: 50_000)

    private func full() throws -> (JournaledBroker, Int) {
        let broker = try JournaledBroker { $0.maxDiskBytes = Self.bound }
        for count in 0..<1_000 {
            let publisher = broker.client()
            publisher.publish("\(count) \(body)")
            let answer = publisher.heard()
            guard answer == ["OK"] else {
                #expect(answer == ["E_PUB_FAILED PUB failed \(Self.reason)"])
                return (broker, count)
            }
        }
        Issue.record("it is never full")
        return (broker, 0)
    }

    @Test func `refuses messages before they would go beyond it, and keeps the others`() throws {
        let (broker, count) = try full()
        #expect(broker.journal.usedBytes <= Self.bound)
        #expect(broker.journal.usedBytes > Self.bound - 2 * body.utf8.count)
        #expect(broker.journal.failure == LedgerError(Self.reason))
        let next = try JournaledBroker(on: broker.disk) { $0.maxDiskBytes = Self.bound }
        #expect(next.delivered().count == count)
    }

    @Test func `stays ill until there is room`() throws {
        let (broker, _) = try full()
        let consumer = broker.consumer(ready: 2)
        consumer.finish(consumer.heard().dropFirst())
        for _ in 1...3 {
            broker.tryAgain()
            broker.finishSyncs()
            #expect(broker.journal.failure == LedgerError(Self.reason))
        }
    }

    /// Its files are shorter than the bound, however long they may be.
    @Test func `takes messages again when others are finished`() throws {
        let (broker, count) = try full()
        let consumer = broker.consumer()
        let messages = consumer.heard().dropFirst()
        #expect(messages.count == count)
        consumer.finish(messages)
        broker.tryAgain()
        broker.finishSyncs()
        broker.tryAgain()
        #expect(broker.journal.failure == nil)
        #expect(broker.journal.usedBytes < Self.bound / 2)
        broker.publish("after")
    }

    @Test func `takes messages again, though one is never finished`() throws {
        let (broker, count) = try full()
        let consumer = broker.consumer()
        let messages = consumer.heard().dropFirst()
        #expect(messages.count == count)
        consumer.finish(messages.dropFirst())
        for _ in 1...20 {
            broker.pass(.seconds(5))
            broker.tryAgain()
            broker.finishSyncs()
        }
        #expect(broker.journal.failure == nil)
        #expect(broker.journal.usedBytes < Self.bound / 2)
        broker.publish("after")
        let kept = try JournaledBroker(on: broker.disk).delivered()
        #expect(kept == [messages.first!, "after"])
    }
}
