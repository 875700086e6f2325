import BrokerCore
import NSQBroker
import NSQWire
import TestTraits
import Testing

@Suite(.blocking) struct `A broker with a full disk` {
    private let body = String(repeating: "x", count: 50_000)

    /// Publishes until a publish is rejected.
    ///
    /// - Returns: the number of accepted messages.
    private func fill(_ broker: JournaledBroker, expecting reason: String) -> Int {
        var count = 0
        while count < 1_000 {
            let publisher = broker.client()
            publisher.publish("\(count) \(body)")
            let answer = publisher.received()
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

    @Test func `can log finished messages and then accepts new ones`() throws {
        let (broker, count) = try full(8 << 20)
        let consumer = broker.consumer()
        let messages = consumer.received().dropFirst()
        #expect(messages.count == count)
        consumer.finish(messages)
        broker.advanceTime(by: .seconds(11))
        broker.retryAfterFailure()
        broker.finishSyncs()
        #expect(broker.journal.failure == nil)
        broker.publish("after")
        #expect(consumer.received() == ["after"])
        // The finished messages are logged, so they are not redelivered.
        #expect(try JournaledBroker(on: broker.disk).delivered() == ["after"])
    }

    @Test func `stays unhealthy while no message fits, even though other records are written`()
        throws
    {
        let (broker, count) = try full(8 << 20)
        let consumer = broker.consumer(ready: 2)
        let messages = consumer.received().dropFirst()
        for _ in 1...3 {
            #expect(broker.journal.failure == MessageLogError(MemoryDisk.full))
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        consumer.finish(messages)
        #expect(broker.journal.failure == MessageLogError(MemoryDisk.full))
        #expect(broker.health.count == 1)
        #expect(try JournaledBroker(on: broker.disk).delivered().count == count - 2)
    }

    /// Other programs have used up the reserved space.
    @Test func `accepts messages again after a time when no record could be written`() throws {
        let (broker, count) = try full(8 << 20)
        let consumer = broker.consumer()
        let messages = consumer.received().dropFirst()
        #expect(messages.count == count)
        broker.disk.failing = [.write: MemoryDisk.full]
        consumer.finish(messages)
        broker.advanceTime(by: .seconds(11))
        broker.retryAfterFailure()
        broker.finishSyncs()
        #expect(broker.journal.failure == MessageLogError(MemoryDisk.full))
        broker.disk.failing = [:]
        for _ in 1...2 {
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        #expect(broker.journal.failure == nil)
        broker.publish("after")
        #expect(try JournaledBroker(on: broker.disk).delivered() == ["after"])
    }

    @Test func `delivers all accepted messages after a restart`() throws {
        let (broker, count) = try full(8 << 20)
        let next = try JournaledBroker(on: broker.disk)
        #expect(next.report.damages == [])
        #expect(next.delivered().count == count)
    }
}

@Suite(.blocking) struct `A journal with --max-disk-bytes` {
    private static let bound = 4 << 20
    private static let reason = "the journal is full at \(bound) bytes"
    private let body = String(repeating: "x", count: 50_000)

    private func full() throws -> (JournaledBroker, Int) {
        let broker = try JournaledBroker { $0.maxDiskBytes = Self.bound }
        for count in 0..<1_000 {
            let publisher = broker.client()
            publisher.publish("\(count) \(body)")
            let answer = publisher.received()
            guard answer == ["OK"] else {
                #expect(answer == ["E_PUB_FAILED PUB failed \(Self.reason)"])
                return (broker, count)
            }
        }
        Issue.record("it is never full")
        return (broker, 0)
    }

    @Test func `rejects messages that would exceed the limit and keeps the others`() throws {
        let (broker, count) = try full()
        #expect(broker.journal.usedBytes <= Self.bound)
        #expect(broker.journal.usedBytes > Self.bound - 2 * body.utf8.count)
        #expect(broker.journal.failure == MessageLogError(Self.reason))
        let next = try JournaledBroker(on: broker.disk) { $0.maxDiskBytes = Self.bound }
        #expect(next.delivered().count == count)
    }

    @Test func `stays unhealthy until there is space`() throws {
        let (broker, _) = try full()
        let consumer = broker.consumer(ready: 2)
        consumer.finish(consumer.received().dropFirst())
        for _ in 1...3 {
            broker.retryAfterFailure()
            broker.finishSyncs()
            #expect(broker.journal.failure == MessageLogError(Self.reason))
        }
    }

    /// The journal keeps each file shorter than the limit for all files, whatever the maximum length
    /// of a file is.
    @Test func `accepts messages again after others are finished`() throws {
        let (broker, count) = try full()
        let consumer = broker.consumer()
        let messages = consumer.received().dropFirst()
        #expect(messages.count == count)
        consumer.finish(messages)
        broker.retryAfterFailure()
        broker.finishSyncs()
        broker.retryAfterFailure()
        #expect(broker.journal.failure == nil)
        #expect(broker.journal.usedBytes < Self.bound / 2)
        broker.publish("after")
    }

    @Test func `accepts messages again although one is never finished`() throws {
        let (broker, count) = try full()
        let consumer = broker.consumer()
        let messages = consumer.received().dropFirst()
        #expect(messages.count == count)
        consumer.finish(messages.dropFirst())
        for _ in 1...20 {
            broker.advanceTime(by: .seconds(5))
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        #expect(broker.journal.failure == nil)
        #expect(broker.journal.usedBytes < Self.bound / 2)
        broker.publish("after")
        let kept = try JournaledBroker(on: broker.disk).delivered()
        #expect(kept == [messages.first!, "after"])
    }
}
