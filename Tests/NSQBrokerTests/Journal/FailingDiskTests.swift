import BrokerCore
import NSQBroker
import NSQWire
import TestTraits
import Testing

@Suite(.blocking) struct `A broker with a failing disk` {
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
    func `rejects publishes with the reason, serves consumers, and recovers`(
        trouble: Trouble
    ) throws {
        let consumer = broker.consumer()
        #expect(consumer.received() == ["OK", "before"])
        disk.failing = [trouble.call: trouble.reason]
        disk.bytesBeforeFailure = trouble.bytesWritten
        let publisher = broker.client()
        publisher.publish("refused")
        #expect(publisher.received() == ["E_PUB_FAILED PUB failed \(trouble.reason)"])
        #expect(broker.journal.failure == MessageLogError(trouble.reason))

        #expect(consumer.received() == [])
        consumer.requeue("before")
        #expect(consumer.received() == ["before"])
        consumer.finish(["before"])
        #expect(broker.core.statistics(at: broker.now).topics.first?.depth == 0)

        disk.failing = [:]
        broker.retryAfterFailure()
        #expect(broker.journal.failure == nil)
        #expect(broker.health == [MessageLogError(trouble.reason), nil])
        broker.publish("after")
        #expect(consumer.received() == ["after"])
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["after"])
    }

    /// Otherwise recovery could read bytes of the torn tail as records.
    @Test func `writes nothing after a torn tail until it is truncated`() throws {
        disk.failing = [.write: MemoryDisk.broken]
        disk.bytesBeforeFailure = 50
        broker.client().publish("refused")
        disk.failing = [.truncate: MemoryDisk.broken]
        let tornContents = disk.contents
        let publisher = broker.client()
        publisher.publish("refused")
        #expect(publisher.received() == ["E_PUB_FAILED PUB failed \(MemoryDisk.broken)"])
        #expect(disk.contents == tornContents)

        disk.failing = [:]
        broker.publish("after")
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["before", "after"])
    }

    @Test func `does not deliver rejected messages that were partly written`() throws {
        disk.failing = [.write: MemoryDisk.full]
        for count in [1, 31, 32, 64, 90] {
            disk.bytesBeforeFailure = count
            broker.client().publish("refused")
            let next = try JournaledBroker(on: disk.copy())
            #expect(next.report.tornBytes > 0)
            #expect(next.delivered() == ["before"])
        }
    }

    @Test func `does not use a file whose start could not be written`() throws {
        let broker = try JournaledBroker { $0.maxBytesPerFile = 300 }
        broker.publish("before")
        let filler = String(repeating: "x", count: 300)
        for call in [MemoryDisk.Call.create, .write, .reserve] {
            let publisher = broker.client()
            broker.disk.failing = [call: MemoryDisk.full]
            publisher.publish(filler)
            #expect(publisher.received() == ["E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
            broker.disk.failing = [:]
        }
        broker.publish("after")
        let next = try JournaledBroker(on: broker.disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["before", "after"])
    }

    @Test func `rejects each kind of publish with its own error code`() {
        disk.failing = [.write: MemoryDisk.full]
        let batches = broker.client()
        var bytes: [UInt8] = []
        Command.appendMultiPublish(.plays, [Array("a".utf8), Array("b".utf8)], to: &bytes)
        batches.send(bytes)
        #expect(batches.received() == ["E_MPUB_FAILED MPUB failed \(MemoryDisk.full)"])
        let deferring = broker.client()
        bytes = []
        Command.deferredPublish(.plays, afterMilliseconds: 100)
            .append(body: Array("c".utf8), to: &bytes)
        deferring.send(bytes)
        #expect(deferring.received() == ["E_DPUB_FAILED DPUB failed \(MemoryDisk.full)"])
    }

    /// pynsq fails all pending publishes at the first error, so it would match later responses to
    /// its next publishes.
    @Test func `closes the connection of a rejected publisher without more responses`() {
        disk.failing = [.write: MemoryDisk.full]
        let publisher = broker.client()
        publisher.publish("one", "two", "three")
        #expect(publisher.received() == ["E_PUB_FAILED PUB failed \(MemoryDisk.full)"])
        #expect(publisher.isClosed)
        disk.failing = [:]
        publisher.publish("four")
        #expect(publisher.received() == [])
        #expect(broker.delivered() == ["before"])
    }

    @Test func `reports the failure and the recovery once each`() {
        disk.failing = [.write: MemoryDisk.full]
        _ = broker.core.drainEvents()
        let publisher = broker.client()
        publisher.publish("one", "two")
        let error = ProtocolError(.publishFailed, "PUB failed \(MemoryDisk.full)")
        #expect(broker.core.drainEvents() == [.clientFailed(publisher.session.id, error)])
    }
}

extension MemoryDisk {
    /// Another disk with the same contents.
    func copy() -> MemoryDisk {
        let copy = MemoryDisk()
        copy.contents = contents
        return copy
    }
}
