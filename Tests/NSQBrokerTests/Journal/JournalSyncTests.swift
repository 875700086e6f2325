import BrokerCore
import NSQBroker
import NSQWire
import Testing

@Suite struct `A publish that is answered after the sync` {
    private let broker: JournaledBroker
    private var disk: MemoryDisk { broker.disk }
    private let failure = LedgerError(MemoryDisk.broken)

    init() throws {
        broker = try JournaledBroker { $0.answersAfterSync = true }
    }

    @Test func `is answered then, and delivered before`() {
        let consumer = broker.consumer()
        let publisher = broker.client()
        publisher.publish("one", "two")
        #expect(publisher.heard() == [])
        #expect(consumer.heard() == ["OK", "one", "two"])
        broker.finishSyncs()
        #expect(publisher.heard() == ["OK", "OK"])
    }

    @Test func `shares the next sync if one is under way`() {
        let publishers = (1...3).map { _ in broker.client() }
        publishers[0].publish("one")
        publishers[1].publish("two")
        publishers[2].publish("three")
        #expect(disk.syncs.count == 1)
        let first = disk.syncs[0].done
        broker.turn { first(nil) }
        #expect(publishers.map { $0.heard() } == [["OK"], [], []])
        #expect(disk.syncs.count == 2)
    }

    /// The system tells of what it could not write once: another sync would say that all is well.
    @Test func `is refused for good if the sync fails, with all that came meanwhile`() {
        let early = broker.client()
        let late = broker.client()
        early.publish("one")
        late.publish("two")
        broker.turn {
            let syncs = disk.syncs
            syncs.last?.done(failure)
        }
        let refusal = "E_PUB_FAILED PUB failed \(failure)"
        #expect(early.heard() == [refusal])
        #expect(late.heard() == [refusal])
        #expect(early.isHungUp && late.isHungUp)
        #expect(broker.journal.failure == failure)
    }

    @Test func `goes to another file after a sync has failed, and the old one is left alone`() {
        broker.client().publish("one")
        broker.finishSyncs(failure)
        let old = disk.contents[1]
        let publisher = broker.client()
        publisher.publish("two")
        #expect(publisher.heard() == [])
        #expect(disk.syncs.map(\.files) == [[2]])
        #expect(disk.contents[1]?.prefix(while: { $0 != 0 }) == old?.prefix(while: { $0 != 0 }))
        broker.finishSyncs()
        #expect(publisher.heard() == ["OK"])
        #expect(broker.journal.failure == nil)
        #expect(broker.health == [failure, nil])
    }

    /// Found by the simulation: whoever waited for the sync was to be flushed over and over.
    @Test func `does not keep a turn from ending in which another's write fails`() {
        let patient = broker.client()
        patient.publish("one")
        disk.failing = [.write: MemoryDisk.full]
        let unlucky = broker.client()
        unlucky.publish("two")
        #expect(unlucky.heard() == ["E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
        #expect(patient.heard() == [])
        broker.finishSyncs()
        #expect(patient.heard() == ["OK"])
    }

    @Test func `has its answer before the refusal of the next, and the end after that`() {
        let publisher = broker.client()
        publisher.publish("one")
        disk.failing = [.write: MemoryDisk.full]
        publisher.publish("two", "three")
        disk.failing = [:]
        publisher.publish("four")
        #expect(publisher.heard() == [])
        #expect(!publisher.isHungUp)
        broker.finishSyncs()
        #expect(publisher.heard() == ["OK", "E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
        #expect(publisher.isHungUp)
        #expect(broker.delivered() == ["one"])
    }
}

/// All of them found by the simulation.
@Suite struct `A file of the journal that nobody needs any more` {
    private let broker: JournaledBroker
    private var disk: MemoryDisk { broker.disk }
    private let filler = String(repeating: "x", count: 300)

    /// Three files: `kept` in the first, which is needed, and nothing else that is.
    init() throws {
        broker = try JournaledBroker {
            $0.maxBytesPerFile = 1_000
            $0.syncEvery = .max
        }
        let consumer = broker.consumer()
        broker.publish("kept")
        for number in 1...8 { broker.publish("\(number) \(filler)") }
        consumer.finish(consumer.heard().dropFirst(2))
        #expect(disk.contents.count > 2)
    }

    /// Moves `kept` to the last file.
    private func move() {
        broker.pass(.seconds(6))
        #expect(broker.journal.segmentToMove(needed: 0) == nil)
    }

    @Test func `goes once what was moved out of it is synced`() throws {
        broker.tryAgain()
        broker.finishSyncs()
        move()
        #expect(disk.contents[1] != nil)
        broker.tryAgain()
        #expect(disk.contents[1] != nil)
        broker.finishSyncs()
        #expect(disk.contents[1] == nil)
        #expect(try JournaledBroker(on: disk.copy()).delivered() == ["kept"])
    }

    @Test func `stays if it was emptied while a sync was under way`() {
        broker.tryAgain()
        #expect(disk.syncs.count == 1)
        move()
        broker.finishSyncs()
        #expect(disk.contents[1] != nil)
        broker.tryAgain()
        broker.finishSyncs()
        #expect(disk.contents[1] == nil)
    }

    /// What is known of topics and channels is in no other that is known to be on the disk.
    @Test func `stays if the sync of the only younger one failed`() throws {
        let broker = try JournaledBroker { $0.maxBytesPerFile = 1_000 }
        let consumer = broker.consumer()
        broker.publish("one \(filler)")
        consumer.finish(consumer.heard().dropFirst())
        broker.pass(.seconds(11))
        for number in 1...20 where broker.disk.contents.count == 1 {
            broker.core.createTopic(TopicName("topic\(number)")!, at: broker.now)
            broker.turn()
        }
        broker.journal.sync()
        broker.finishSyncs(LedgerError(MemoryDisk.broken))
        broker.disk.failing = [.create: MemoryDisk.broken]
        broker.tryAgain()
        broker.finishSyncs()
        #expect(broker.disk.contents.keys.sorted() == [1, 2])
        broker.disk.failing = [:]
        for _ in 1...2 {
            broker.tryAgain()
            broker.finishSyncs()
        }
        #expect(broker.disk.contents.keys.sorted() == [3])
    }

    /// The copy is in no file that is known to be on the disk.
    @Test func `stays if the sync of what was moved out of it failed`() throws {
        broker.tryAgain()
        broker.finishSyncs()
        move()
        broker.tryAgain()
        let unsure = try #require(disk.syncs.last?.files)
        broker.finishSyncs(LedgerError(MemoryDisk.broken))
        broker.publish("after")
        broker.tryAgain()
        broker.finishSyncs()
        // As after a power cut: what the failed sync had is gone.
        let left = disk.copy()
        for file in unsure { left.contents[file] = [] }
        #expect(try JournaledBroker(on: left).delivered().contains("kept"))
    }
}
