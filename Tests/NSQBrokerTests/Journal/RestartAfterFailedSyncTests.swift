import BrokerCore
import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

/// After a failed sync, Linux can keep the bytes of that sync in the page cache although they are not
/// on the disk. The next sync of the same file then succeeds. The simulation (seed 919) has found that
/// a restarted broker lost its topics and channels because of this.
@Suite(.blocking) struct `A broker that starts after a failed sync` {
    private let disk: MemoryDisk
    private static let filler = String(repeating: "x", count: 400)

    private static func configure(_ options: inout Journal.Options) {
        options.maxBytesPerFile = 1_000
        options.syncEvery = .max
    }

    /// Two files without needed messages. The sync of the second one has failed. A channel was created
    /// after the start of that file.
    init() throws {
        let disk = MemoryDisk()
        let broker = try JournaledBroker(on: disk, Self.configure)
        let consumer = broker.consumer()
        for number in 1...2 {
            broker.publish("\(number) \(Self.filler)")
            consumer.finish(consumer.received().filter { $0.hasSuffix("x") })
            if number == 2 { _ = broker.consumer(of: .archive, ready: 0) }
            broker.journal.sync()
            disk.finishSyncs(number == 1 ? nil : MessageLogError(MemoryDisk.broken))
        }
        #expect(disk.contents.keys.sorted() == [1, 2])
        self.disk = disk.copy()
    }

    private func sync(_ broker: JournaledBroker) {
        broker.retryAfterFailure()
        broker.finishSyncs()
    }

    /// Removes what was not written since the start of the test.
    private func failPower() {
        for (file, bytes) in disk.contents {
            var left = [UInt8](repeating: 0, count: bytes.count)
            for write in disk.writes where write.file == file {
                left.replaceSubrange(write.range, with: bytes[write.range])
            }
            disk.contents[file] = left
        }
    }

    private func channels(of broker: JournaledBroker) -> [ChannelName] {
        broker.core.statistics(at: broker.now).topics.flatMap(\.channels).map(\.name).sorted()
    }

    @Test func `writes all topics and channels to a new file before it removes an older one`()
        throws
    {
        let broker = try JournaledBroker(on: disk, Self.configure)
        #expect(broker.report.damages == [])
        broker.publish("3")
        sync(broker)
        #expect(disk.contents.keys.sorted() == [3])
        failPower()
        let next = try JournaledBroker(on: disk)
        #expect(channels(of: next) == [.archive, .count])
        #expect(next.delivered() == ["3"])
        #expect(next.delivered(to: .archive) == ["3"])
    }

    @Test func `writes the topics and channels of a file again before it removes an older one`()
        throws
    {
        let broker = try JournaledBroker(on: disk, Self.configure)
        sync(broker)
        #expect(disk.contents.keys.sorted() == [2])
        failPower()
        #expect(channels(of: try JournaledBroker(on: disk)) == [.count])
    }

    @Test(arguments: [MemoryDisk.Call.write, .read])
    func `keeps the older file as long as it cannot write them again`(
        call: MemoryDisk.Call
    ) throws {
        let broker = try JournaledBroker(on: disk, Self.configure)
        disk.failing = [call: MemoryDisk.broken]
        sync(broker)
        #expect(disk.contents.keys.sorted() == [1, 2])
        disk.failing = [:]
        broker.publish("3")
        sync(broker)
        #expect(disk.contents.keys.sorted() == [3])
    }

    /// The page cache can also drop the bytes of the newer file.
    @Test func `keeps the older file if the newer one is damaged in the meantime`() throws {
        let broker = try JournaledBroker(on: disk, Self.configure)
        let topics = try #require(try disk.recordRanges(of: .topics, in: 2).first)
        for index in topics { disk.contents[2]![index] = 0 }
        sync(broker)
        #expect(disk.contents.keys.sorted() == [1, 2])
        #expect(disk.writes.isEmpty)
    }

    /// The records between the start of the file and its later record of topics refer to channels that
    /// only the older file names.
    @Test func `keeps the older file if the newer one contains the topics only later`() throws {
        let first = try JournaledBroker(on: disk, Self.configure)
        disk.failing = [.write: MemoryDisk.broken]
        first.client().publish("refused")
        disk.failing = [:]
        first.journal.retryAfterFailure()
        // File 3 has the record of the topics at its start, and again later.
        let topics = try disk.recordRanges(of: .topics, in: 3)
        #expect(topics.count == 2)
        disk.contents[3]![topics[0].lowerBound] ^= 1
        disk.contents[2] = nil
        let second = try JournaledBroker(on: disk, Self.configure)
        sync(second)
        #expect(disk.contents.keys.sorted() == [1, 3])
        #expect(second.delivered() == [])
    }
}

@Suite(.blocking) struct `A broker that starts often` {
    @Test func `accepts messages although its files are full of finished ones`() throws {
        let disk = MemoryDisk()
        let configure: (inout Journal.Options) -> Void = { $0.maxDiskBytes = 100_000 }
        let filler = String(repeating: "x", count: 5_000)
        do {
            let broker = try JournaledBroker(on: disk, configure)
            let consumer = broker.consumer()
            let client = broker.client()
            var number = 0
            repeat {
                number += 1
                client.publish("\(number) \(filler)")
            } while client.received() == ["OK"]
            consumer.finish(consumer.received().dropFirst())
        }
        let broker = try JournaledBroker(on: disk, configure)
        let client = broker.client()
        client.publish(filler)
        #expect(client.received().first?.hasPrefix("E_PUB_FAILED") == true)
        for _ in 1...2 {
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        #expect(broker.journal.failure == nil)
        broker.publish("after")
        #expect(try JournaledBroker(on: disk).delivered() == ["after"])
    }

    /// Each start begins a file, and none of the messages is ever finished.
    @Test func `has few files`() throws {
        let disk = MemoryDisk()
        for number in 1...150 {
            let broker = try JournaledBroker(on: disk)
            if number == 1 { _ = broker.consumer(ready: 0) }
            broker.publish("\(number)")
            broker.advanceTime(by: .seconds(10))
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        #expect(disk.contents.count <= Journal.maxFilesBeyondSize + 2)
        #expect(try JournaledBroker(on: disk).delivered() == (1...150).map(String.init))
    }
}
