import BrokerCore
import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

@Suite(.blocking) struct `The extents of a segment` {
    private var extents = SegmentExtents()

    private var ranges: [Range<Int>] { extents.extents.map(\.range) }

    @Test mutating func `include small gaps in one file`() {
        let gap = SegmentExtents.maxGap
        extents.add(0..<100, in: 1)
        extents.add(100..<200, in: 1)
        extents.add(200 + gap..<300 + gap, in: 1)
        #expect(ranges == [0..<300 + gap])
        extents.add(301 + 2 * gap..<400 + 2 * gap, in: 1)
        #expect(ranges == [0..<300 + gap, 301 + 2 * gap..<400 + 2 * gap])
        extents.add(400 + 2 * gap..<500 + 2 * gap, in: 2)
        #expect(ranges.count == 3)
        #expect(extents.files == [1, 2])
    }

    @Test mutating func `are at most 32 in one file, and the last one includes what follows`() {
        let distance = 2 * SegmentExtents.maxGap
        for number in 0..<SegmentExtents.maxCount + 10 {
            extents.add(number * distance..<number * distance + 1, in: 1)
        }
        #expect(ranges.count == SegmentExtents.maxCount)
        let last = SegmentExtents.maxCount + 9
        #expect(ranges.last?.lowerBound == (SegmentExtents.maxCount - 1) * distance)
        #expect(ranges.last?.upperBound == last * distance + 1)
        extents.add(0..<1, in: 2)
        #expect(ranges.count == SegmentExtents.maxCount + 1)
    }
}

@Suite(.blocking) struct `The records that a failing disk does not accept` {
    private let topic = TopicName(String(repeating: "t", count: 64))!
    private let channel = ChannelName(String(repeating: "c", count: 64))!

    /// Appends records of at least `byteCount` bytes while the disk fails, and returns how many bytes
    /// are written when it works again.
    private func bytesWritten(afterFailing byteCount: Int) throws -> Int {
        let disk = MemoryDisk()
        let broker = try JournaledBroker(on: disk)
        broker.core.createTopic(topic, at: broker.now)
        broker.runIteration()
        let before = disk.contents.values.reduce(0) { $0 + $1.count }
        disk.failing = [.write: MemoryDisk.broken, .create: MemoryDisk.broken]
        for _ in 0...byteCount / 128 {
            broker.journal.append(.channelPaused(topic, channel, true))
        }
        #expect(throws: MessageLogError.self) { try broker.journal.flush() }
        disk.failing = [:]
        broker.journal.append(.channelPaused(topic, channel, false))
        _ = try broker.journal.flush()
        return disk.contents.values.reduce(0) { $0 + $1.count } - before
    }

    @Test func `are written later`() throws {
        #expect(try bytesWritten(afterFailing: 1 << 20) > 1 << 20)
    }

    @Test func `are discarded beyond 16 MiB`() throws {
        #expect(try bytesWritten(afterFailing: 17 << 20) < 1 << 20)
    }
}
