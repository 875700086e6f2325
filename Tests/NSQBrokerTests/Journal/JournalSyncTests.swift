import BrokerCore
import NSQBroker
import NSQWire
import TestTraits
import Testing

@Suite(.blocking) struct `A publish that waits for a sync` {
    private let broker: JournaledBroker
    private var disk: MemoryDisk { broker.disk }
    private let failure = MessageLogError(MemoryDisk.broken)

    init() throws {
        broker = try JournaledBroker { $0.respondsAfterSync = true }
    }

    @Test func `is answered after the sync and delivered before it`() {
        let consumer = broker.consumer()
        let publisher = broker.client()
        publisher.publish("one", "two")
        #expect(publisher.received() == [])
        #expect(consumer.received() == ["OK", "one", "two"])
        broker.finishSyncs()
        #expect(publisher.received() == ["OK", "OK"])
    }

    @Test func `shares the next sync if one is running`() {
        let publishers = (1...3).map { _ in broker.client() }
        publishers[0].publish("one")
        publishers[1].publish("two")
        publishers[2].publish("three")
        #expect(disk.syncs.count == 1)
        let first = disk.syncs[0].done
        broker.runIteration { first(nil) }
        #expect(publishers.map { $0.received() } == [["OK"], [], []])
        #expect(disk.syncs.count == 2)
    }

    @Test func `keeps the connection open, however long the sync takes`() {
        let publisher = broker.client()
        publisher.publish("one")
        broker.advanceTime(by: .seconds(3_600))
        #expect(!publisher.session.isEnded)
        broker.finishSyncs()
        #expect(publisher.received() == ["OK"])
        broker.advanceTime(by: .seconds(59))
        #expect(!publisher.session.isEnded)
        broker.advanceTime(by: .seconds(1))
        #expect(publisher.session.isEnded)
    }

    /// The system reports a write error only once, so the next sync would succeed although data is
    /// missing.
    @Test func `fails if the sync fails, like all publishes during that sync`() {
        let early = broker.client()
        let late = broker.client()
        early.publish("one")
        late.publish("two")
        broker.runIteration {
            let syncs = disk.syncs
            syncs.last?.done(failure)
        }
        let refusal = "E_PUB_FAILED PUB failed \(failure)"
        #expect(early.received() == [refusal])
        #expect(late.received() == [refusal])
        #expect(early.isClosed && late.isClosed)
        #expect(broker.journal.failure == failure)
    }

    @Test func `goes to a new file after a failed sync, and the old file is not written again`() {
        broker.client().publish("one")
        broker.finishSyncs(failure)
        let old = disk.contents[1]
        let publisher = broker.client()
        publisher.publish("two")
        #expect(publisher.received() == [])
        #expect(disk.syncs.map(\.files) == [[2]])
        #expect(disk.contents[1]?.prefix(while: { $0 != 0 }) == old?.prefix(while: { $0 != 0 }))
        broker.finishSyncs()
        #expect(publisher.received() == ["OK"])
        #expect(broker.journal.failure == nil)
        #expect(broker.health == [failure, nil])
    }

    /// The simulation found that clients waiting for the sync were flushed forever.
    @Test func `does not block the end of a loop iteration in which another write fails`() {
        let patient = broker.client()
        patient.publish("one")
        disk.failing = [.write: MemoryDisk.full]
        let unlucky = broker.client()
        unlucky.publish("two")
        #expect(unlucky.received() == ["E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
        #expect(patient.received() == [])
        broker.finishSyncs()
        #expect(patient.received() == ["OK"])
    }

    @Test func `is answered before the next publish is rejected and the connection closed`() {
        let publisher = broker.client()
        publisher.publish("one")
        disk.failing = [.write: MemoryDisk.full]
        publisher.publish("two", "three")
        disk.failing = [:]
        publisher.publish("four")
        #expect(publisher.received() == [])
        #expect(!publisher.isClosed)
        broker.finishSyncs()
        #expect(publisher.received() == ["OK", "E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
        #expect(publisher.isClosed)
        #expect(broker.delivered() == ["one"])
    }
}

/// Each test shows a bug that the simulation has found.
@Suite(.blocking) struct `A journal file without needed messages` {
    private let broker: JournaledBroker
    private var disk: MemoryDisk { broker.disk }
    private let filler = String(repeating: "x", count: 300)

    /// Three files. Only `kept` in the first one is needed.
    init() throws {
        broker = try JournaledBroker {
            $0.maxBytesPerFile = 1_000
            $0.syncEvery = .max
        }
        let consumer = broker.consumer()
        broker.publish("kept")
        for number in 1...8 { broker.publish("\(number) \(filler)") }
        consumer.finish(consumer.received().dropFirst(2))
        #expect(disk.contents.count > 2)
    }

    /// Relocates `kept` to the last file.
    private func relocate() {
        broker.advanceTime(by: .seconds(6))
        #expect(broker.journal.segmentToRelocate(neededBytes: 0) == nil)
    }

    @Test func `is removed after the relocated messages are synced`() throws {
        broker.retryAfterFailure()
        broker.finishSyncs()
        relocate()
        #expect(disk.contents[1] != nil)
        broker.retryAfterFailure()
        #expect(disk.contents[1] != nil)
        broker.finishSyncs()
        #expect(disk.contents[1] == nil)
        #expect(try JournaledBroker(on: disk.copy()).delivered() == ["kept"])
    }

    @Test func `stays if its messages were relocated during the sync`() {
        broker.retryAfterFailure()
        #expect(disk.syncs.count == 1)
        relocate()
        broker.finishSyncs()
        #expect(disk.contents[1] != nil)
        broker.retryAfterFailure()
        broker.finishSyncs()
        #expect(disk.contents[1] == nil)
    }

    /// Otherwise no synced file would contain the topics and channels.
    @Test func `stays if the sync of the only newer file failed`() throws {
        let broker = try JournaledBroker { $0.maxBytesPerFile = 1_000 }
        let consumer = broker.consumer()
        broker.publish("one \(filler)")
        consumer.finish(consumer.received().dropFirst())
        broker.advanceTime(by: .seconds(11))
        for number in 1...20 where broker.disk.contents.count == 1 {
            broker.core.createTopic(TopicName("topic\(number)")!, at: broker.now)
            broker.runIteration()
        }
        broker.journal.sync()
        broker.finishSyncs(MessageLogError(MemoryDisk.broken))
        broker.disk.failing = [.create: MemoryDisk.broken]
        broker.retryAfterFailure()
        broker.finishSyncs()
        #expect(broker.disk.contents.keys.sorted() == [1, 2])
        broker.disk.failing = [:]
        for _ in 1...2 {
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        #expect(broker.disk.contents.keys.sorted() == [3])
    }

    /// Otherwise no synced file would contain the relocated message.
    @Test func `stays if the sync of the relocated messages failed`() throws {
        broker.retryAfterFailure()
        broker.finishSyncs()
        relocate()
        broker.retryAfterFailure()
        let unsure = try #require(disk.syncs.last?.files)
        broker.finishSyncs(MessageLogError(MemoryDisk.broken))
        broker.publish("after")
        broker.retryAfterFailure()
        broker.finishSyncs()
        // A power failure loses the bytes of the failed sync.
        let left = disk.copy()
        for file in unsure { left.contents[file] = [] }
        #expect(try JournaledBroker(on: left).delivered().contains("kept"))
    }
}

@Suite(.blocking) struct `--sync-every` {
    private func broker(syncEvery: Int) throws -> JournaledBroker {
        try JournaledBroker { $0.syncEvery = syncEvery }
    }

    @Test func `starts a sync at the given number of messages and not before`() throws {
        let broker = try broker(syncEvery: 3)
        let publisher = broker.client()
        for isReached in [false, false, true, false, false, true] {
            publisher.publish("message")
            #expect(broker.disk.syncs.count == (isReached ? 1 : 0))
            broker.finishSyncs()
        }
        #expect(publisher.received() == Array(repeating: "OK", count: 6))
    }

    @Test func `counts the messages of one batch that reaches and exceeds the number`() throws {
        let below = try broker(syncEvery: 3)
        below.client().publish("one", "two")
        #expect(below.disk.syncs.isEmpty)
        let reached = try broker(syncEvery: 3)
        reached.client().publish("one", "two", "three")
        #expect(reached.disk.syncs.count == 1)
        let exceeded = try broker(syncEvery: 3)
        exceeded.client().publish("one", "two", "three", "four")
        #expect(exceeded.disk.syncs.count == 1)
    }

    @Test func `of 0 starts a sync after each write, as nsqd does`() throws {
        let broker = try broker(syncEvery: 0)
        let publisher = broker.client()
        for _ in 1...3 {
            publisher.publish("message")
            #expect(broker.disk.syncs.count == 1)
            broker.finishSyncs()
        }
    }
}
