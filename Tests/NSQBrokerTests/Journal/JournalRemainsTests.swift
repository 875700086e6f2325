import BrokerCore
import NSQWire
import Testing

@testable import NSQBroker

/// Files that are made of others which were removed, and whose bytes stand in them yet.
@Suite struct `A journal's file that was made of another` {
    private let disk = MemoryDisk()
    /// The only file.
    private let file: UInt32

    init() throws {
        disk.spares = []
        let broker = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 8_000 }
        let consumer = broker.consumer()
        for number in 1...100 {
            broker.publish("\(number) " + String(repeating: "x", count: 300))
            consumer.finish(consumer.heard().filter { $0 != "OK" })
            broker.pass(.seconds(6))
            broker.tryAgain()
            broker.finishSyncs()
        }
        // Nobody is there whom a note could say these were delivered to.
        broker.turn { broker.core.disconnect(consumer.session, at: broker.now) }
        broker.publish("one", "two", "three")
        file = try #require(disk.contents.keys.max())
        #expect(file > 3 && disk.contents.count == 1)
        let places = try disk.places(of: .published, in: file)
        let behind = disk.contents[file]![places.last!.upperBound...]
        #expect(behind.prefix(JournalFormat.endMarkBytes).allSatisfy { $0 == 0 })
        #expect(!behind.allSatisfy { $0 == 0 }, "there are remains")
    }

    @Test func `ends where its own records end`() throws {
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [] && next.report.tornBytes == 0)
        #expect(next.delivered() == ["one", "two", "three"])
    }

    @Test func `is gone on in`() throws {
        try JournaledBroker(on: disk).publish("four")
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [] && next.report.tornBytes == 0)
        #expect(next.delivered() == ["one", "two", "three", "four"])
    }

    /// What remains does not hide it.
    @Test func `shows that its last record is damaged`() throws {
        let last = try #require(try disk.places(of: .published, in: file).last)
        disk.contents[file]![last.lowerBound] ^= 1
        let next = try JournaledBroker(on: disk)
        #expect(next.report.tornBytes > 0)
        #expect(next.delivered() == ["one", "two"])
    }

    /// As after a power cut that came before anything was written to it.
    @Test func `is no damage if nothing of its own came to the disk`() throws {
        disk.contents[file + 1] = disk.contents[file]
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["one", "two", "three"])
        next.publish("four")
        #expect(try JournaledBroker(on: disk).delivered() == ["one", "two", "three", "four"])
    }

    /// It is known to have nothing of its own once a broker has seen it as the last one.
    @Test func `is no damage later, either, when others stand behind it`() throws {
        disk.contents[file + 1] = disk.contents[file]
        try JournaledBroker(on: disk).publish("four")
        #expect(disk.contents.keys.max() == file + 2)
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [] && next.report.tornBytes == 0)
        #expect(next.delivered() == ["one", "two", "three", "four"])
    }

    /// Only the last can be one that was just begun.
    @Test func `is damage if it is another's and stands before others`() throws {
        disk.contents[file + 1] = disk.contents[file]
        disk.contents[file + 2] = []
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages.map(\.file).contains(file + 1))
        #expect(next.delivered() == ["one", "two", "three"])
    }

    @Test func `is not made where there is a bound that it would go beyond`() throws {
        let disk = MemoryDisk()
        disk.spares = []
        let broker = try JournaledBroker(on: disk) { $0.maxDiskBytes = 80_000 }
        let consumer = broker.consumer()
        _ = consumer.heard()
        var mostSpare = 0
        var unfinished: [String] = []
        for number in 1...60 {
            broker.publish("\(number) " + String(repeating: "x", count: 9_000))
            unfinished += consumer.heard()
            // In time: what is in flight for longer comes again.
            if number % 6 == 0 {
                consumer.finish(unfinished)
                unfinished = []
            }
            broker.pass(.seconds(6))
            broker.tryAgain()
            broker.finishSyncs()
            mostSpare = max(mostSpare, disk.spareBytes)
            // A file takes from the beginning what that did which it was made of.
            let files = broker.journal.files
            let taken = files.reduce(disk.spareBytes) { $0 + max($1.end, $1.remains) }
            #expect(taken <= 80_000)
        }
        #expect(mostSpare > 0)
    }
}
