import BrokerCore
import NSQBroker
import NSQWire
import Testing

@Suite struct `A broker whose disk fails` {
    private let broker: JournaledBroker
    private var disk: MemoryDisk { broker.disk }

    init() throws {
        broker = try JournaledBroker()
        broker.publish("before")
    }

    struct Trouble: Sendable, CustomTestStringConvertible {
        var call: MemoryDisk.Call
        var reason: String
        var bytesWritten = 0

        var testDescription: String { "\(call): \(reason), \(bytesWritten) bytes written" }
    }

    static let troubles = [
        Trouble(call: .write, reason: MemoryDisk.full),
        Trouble(call: .write, reason: MemoryDisk.full, bytesWritten: 20),
        Trouble(call: .write, reason: MemoryDisk.broken, bytesWritten: 40),
        Trouble(call: .write, reason: MemoryDisk.broken, bytesWritten: 100_000),
    ]

    @Test(arguments: troubles)
    func `refuses publishers with the reason, serves consumers, and recovers`(
        trouble: Trouble
    ) throws {
        let consumer = broker.consumer()
        #expect(consumer.heard() == ["OK", "before"])
        disk.failing = [trouble.call: trouble.reason]
        disk.bytesBeforeFailure = trouble.bytesWritten
        let publisher = broker.client()
        publisher.publish("refused")
        #expect(publisher.heard() == ["E_PUB_FAILED PUB failed \(trouble.reason)"])
        #expect(broker.journal.failure == LedgerError(trouble.reason))

        #expect(consumer.heard() == [])
        consumer.requeue("before")
        #expect(consumer.heard() == ["before"])
        consumer.finish(["before"])
        #expect(broker.core.statistics(at: broker.now).topics.first?.depth == 0)

        disk.failing = [:]
        broker.tryAgain()
        #expect(broker.journal.failure == nil)
        #expect(broker.health == [LedgerError(trouble.reason), nil])
        broker.publish("after")
        #expect(consumer.heard() == ["after"])
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["after"])
    }

    /// Rags that cannot be cut might be taken for records later.
    @Test func `writes nothing behind the rags of a write before they are cut`() throws {
        disk.failing = [.write: MemoryDisk.broken]
        disk.bytesBeforeFailure = 50
        broker.client().publish("refused")
        disk.failing = [.truncate: MemoryDisk.broken]
        let rags = disk.contents
        let publisher = broker.client()
        publisher.publish("refused")
        #expect(publisher.heard() == ["E_PUB_FAILED PUB failed \(MemoryDisk.broken)"])
        #expect(disk.contents == rags)

        disk.failing = [:]
        broker.publish("after")
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["before", "after"])
    }

    @Test func `delivers nothing that was refused, though it was written in part`() throws {
        disk.failing = [.write: MemoryDisk.full]
        for count in [1, 31, 32, 64, 90] {
            disk.bytesBeforeFailure = count
            broker.client().publish("refused")
            let next = try JournaledBroker(on: disk.copy())
            #expect(next.report.tornBytes > 0)
            #expect(next.delivered() == ["before"])
        }
    }

    @Test func `begins no file that it cannot begin well`() throws {
        let broker = try JournaledBroker { $0.maxBytesPerFile = 300 }
        broker.publish("before")
        let filler = String(repeating: "x", count: 300)
        for call in [MemoryDisk.Call.create, .write, .reserve] {
            let publisher = broker.client()
            broker.disk.failing = [call: MemoryDisk.full]
            publisher.publish(filler)
            #expect(publisher.heard() == ["E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
            broker.disk.failing = [:]
        }
        broker.publish("after")
        let next = try JournaledBroker(on: broker.disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["before", "after"])
    }

    @Test func `refuses each kind of publish in its own way`() {
        disk.failing = [.write: MemoryDisk.full]
        let batches = broker.client()
        var bytes: [UInt8] = []
        Command.appendMultiPublish(.plays, [Array("a".utf8), Array("b".utf8)], to: &bytes)
        batches.say(bytes)
        #expect(batches.heard() == ["E_MPUB_FAILED MPUB failed \(MemoryDisk.full)"])
        let deferring = broker.client()
        bytes = []
        Command.deferredPublish(.plays, afterMilliseconds: 100)
            .append(body: Array("c".utf8), to: &bytes)
        deferring.say(bytes)
        #expect(deferring.heard() == ["E_DPUB_FAILED DPUB failed \(MemoryDisk.full)"])
    }

    /// pynsq takes the first error for one of everything under way: what is answered behind it
    /// would be taken for the answers of what it publishes next.
    @Test func `hangs up on a publisher that it refuses, and answers nothing behind the refusal`() {
        disk.failing = [.write: MemoryDisk.full]
        let publisher = broker.client()
        publisher.publish("one", "two", "three")
        #expect(publisher.heard() == ["E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
        #expect(publisher.isHungUp)
        disk.failing = [:]
        publisher.publish("four")
        #expect(publisher.heard() == [])
        #expect(broker.delivered() == ["before"])
    }

    @Test func `says so once to whoever keeps a log`() {
        disk.failing = [.write: MemoryDisk.full]
        _ = broker.core.takeEvents()
        let publisher = broker.client()
        publisher.publish("one", "two")
        let error = ProtocolError(.publishFailed, "PUB failed \(MemoryDisk.full)")
        #expect(broker.core.takeEvents() == [.clientFailed(publisher.session.id, error)])
    }
}

extension MemoryDisk {
    /// Another disk with the same on it.
    func copy() -> MemoryDisk {
        let copy = MemoryDisk()
        copy.contents = contents
        return copy
    }
}
