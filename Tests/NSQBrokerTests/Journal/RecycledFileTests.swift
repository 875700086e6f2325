import BrokerCore
import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

/// Tests of journal files that were created from removed files and still contain the old bytes.
@Suite(.blocking) struct `A journal file created from a recycled one` {
    private let disk = MemoryDisk()
    /// The number of the only file.
    private let file: UInt32

    init() throws {
        disk.recycled = []
        let broker = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 8_000 }
        let consumer = broker.consumer()
        for number in 1...100 {
            broker.publish("\(number) " + String(repeating: "x", count: 300))
            consumer.finish(consumer.received().filter { $0 != "OK" })
            broker.advanceTime(by: .seconds(6))
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        // There is no consumer, so no record of a delivery follows.
        broker.runIteration { broker.core.disconnect(consumer.session, at: broker.now) }
        broker.publish("one", "two", "three")
        file = try #require(disk.contents.keys.max())
        #expect(file > 3 && disk.contents.count == 1)
        let places = try disk.recordRanges(of: .published, in: file)
        let behind = disk.contents[file]![places.last!.upperBound...]
        #expect(behind.prefix(JournalFormat.endMarkBytes).allSatisfy { $0 == 0 })
        #expect(!behind.allSatisfy { $0 == 0 }, "old bytes follow")
    }

    @Test func `ends after its own records`() throws {
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [] && next.report.tornBytes == 0)
        #expect(next.delivered() == ["one", "two", "three"])
    }

    @Test func `is appended to after a restart`() throws {
        try JournaledBroker(on: disk).publish("four")
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [] && next.report.tornBytes == 0)
        #expect(next.delivered() == ["one", "two", "three", "four"])
    }

    /// The old bytes do not hide the damage.
    @Test func `reports a damaged last record as torn`() throws {
        let last = try #require(try disk.recordRanges(of: .published, in: file).last)
        disk.contents[file]![last.lowerBound] ^= 1
        let next = try JournaledBroker(on: disk)
        #expect(next.report.tornBytes > 0)
        #expect(next.delivered() == ["one", "two"])
    }

    /// A power failure before the first write to the file leaves this state.
    @Test func `is not damaged if none of its own bytes reached the disk`() throws {
        disk.contents[file + 1] = disk.contents[file]
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["one", "two", "three"])
        next.publish("four")
        #expect(try JournaledBroker(on: disk).delivered() == ["one", "two", "three", "four"])
    }

    /// A broker that finds the file as the last one empties it.
    @Test func `is not damaged later when newer files follow`() throws {
        disk.contents[file + 1] = disk.contents[file]
        try JournaledBroker(on: disk).publish("four")
        #expect(disk.contents.keys.max() == file + 2)
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [] && next.report.tornBytes == 0)
        #expect(next.delivered() == ["one", "two", "three", "four"])
    }

    /// Only the last file can have been created right before a power failure.
    @Test func `is damaged if it has an older file's header and is not the last`() throws {
        disk.contents[file + 1] = disk.contents[file]
        disk.contents[file + 2] = []
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages.map(\.file).contains(file + 1))
        #expect(next.delivered() == ["one", "two", "three"])
    }

    @Test func `is not created if recycled files exceed the disk limit`() throws {
        let disk = MemoryDisk()
        disk.recycled = []
        let broker = try JournaledBroker(on: disk) { $0.maxDiskBytes = 80_000 }
        let consumer = broker.consumer()
        _ = consumer.received()
        var maxRecycledBytes = 0
        var unfinished: [String] = []
        for number in 1...60 {
            broker.publish("\(number) " + String(repeating: "x", count: 9_000))
            unfinished += consumer.received()
            // Messages are finished before their timeout, so that none is redelivered.
            if number % 6 == 0 {
                consumer.finish(unfinished)
                unfinished = []
            }
            broker.advanceTime(by: .seconds(6))
            broker.retryAfterFailure()
            broker.finishSyncs()
            maxRecycledBytes = max(maxRecycledBytes, disk.recycledFileBytes)
            // A file takes the space of its recycled file from the start.
            let files = broker.journal.files
            let taken = files.reduce(disk.recycledFileBytes) {
                $0 + max($1.endOffset, $1.recycledEnd)
            }
            #expect(taken <= 80_000)
        }
        #expect(maxRecycledBytes > 0)
    }
}
