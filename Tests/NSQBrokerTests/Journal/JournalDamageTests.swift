import BrokerCore
import NSQWire
import TestTraits
import Testing
import Transport

@testable import NSQBroker

/// Tests with three messages in separate records, of which some are damaged.
@Suite(.blocking) struct `A damaged journal` {
    private let disk = MemoryDisk()
    /// The range of each message's record.
    private let places: [Range<Int>]

    init() throws {
        try JournaledBroker(on: disk).publish("one", "two", "three")
        places = try disk.recordRanges(of: .published, in: 1)
        #expect(places.count == 3)
        // The reserved space after the records would make the test slow.
        disk.contents[1]!.removeLast(disk.contents[1]!.count - places[2].upperBound)
    }

    @Test func `loses only the record with a flipped bit, and reports its range`() throws {
        let sound = disk.contents[1]!
        let payload = places[1].lowerBound + JournalFormat.recordHeaderBytes
        let header = try #require(disk.header(at: places[1].lowerBound, of: 1))
        for offset in places[1].lowerBound..<payload + header.payloadBytes {
            disk.contents[1] = sound
            disk.contents[1]![offset] ^= 1 << UInt8(offset % 8)
            let broker = try JournaledBroker(on: disk)
            let what = offset < payload ? "no valid record" : "a damaged record"
            #expect(broker.report.damages == [.init(file: 1, range: places[1], what: what)])
            #expect(broker.delivered() == ["one", "three"])
        }
    }

    @Test func `keeps all records when any bit of the file header is flipped`() throws {
        let sound = disk.contents[1]!
        for offset in 0..<JournalFormat.fileHeaderBytes {
            disk.contents[1] = sound
            disk.contents[1]![offset] ^= 1 << UInt8(offset % 8)
            let broker = try JournaledBroker(on: disk)
            #expect(
                broker.report.damages
                    == [.init(file: 1, range: 0..<64, what: "the file's header is damaged")])
            #expect(broker.delivered() == ["one", "two", "three"])
        }
    }

    /// A power failure can lose the end of one write and keep the next write.
    @Test func `is read past a partly written record`() throws {
        let sound = disk.contents[1]!
        for kept in 0..<places[1].count where sound[places[1].lowerBound + kept] != 0 {
            disk.contents[1] = sound
            let gone = places[1].lowerBound + kept..<places[1].upperBound
            disk.contents[1]!.replaceSubrange(gone, with: repeatElement(0, count: gone.count))
            let broker = try JournaledBroker(on: disk)
            #expect(broker.report.damages.map(\.file) == [1])
            #expect(broker.report.damages.map(\.range) == [places[1]])
            #expect(broker.delivered() == ["one", "three"])
        }
    }

    @Test func `loses only the torn tail`() throws {
        let sound = disk.contents[1]!
        let header = try #require(disk.header(at: places[2].lowerBound, of: 1))
        let whole = header.offset + JournalFormat.recordHeaderBytes + header.payloadBytes
        for end in places[2].lowerBound..<whole {
            disk.contents = [1: Array(sound[..<end])]
            let broker = try JournaledBroker(on: disk)
            #expect(broker.report.damages == [])
            #expect(broker.report.tornBytes == end - places[2].lowerBound)
            #expect(disk.contents[1]!.count == places[2].lowerBound)
            #expect(broker.delivered() == ["one", "two"])
        }
    }

    @Test func `is appended to after the last complete record`() throws {
        disk.contents[1]!.removeLast(20)
        try JournaledBroker(on: disk).publish("four")
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        #expect(broker.report.tornBytes == 0)
        #expect(broker.delivered() == ["one", "two", "four"])
    }

    /// The system may write the end of a record before its start.
    @Test func `discards a torn tail whose start is missing`() throws {
        let start = places[2].lowerBound
        for offset in start..<start + JournalFormat.recordHeaderBytes {
            disk.contents[1]![offset] = 0
        }
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        #expect(broker.report.tornBytes == places[2].count)
        #expect(broker.delivered() == ["one", "two"])
    }

    /// A failed write was truncated and replaced by other records, and then the power failed.
    @Test func `is read past an old header at the offset of a damaged record`() throws {
        let salt = try #require(disk.header(at: places[1].lowerBound, of: 1)?.salt)
        disk.put(
            RecordHeader(
                kind: .published, payloadBytes: places[1].count + places[2].count,
                payloadChecksum: 1, salt: salt, file: 1, offset: places[1].lowerBound))
        let broker = try JournaledBroker(on: disk)
        #expect(
            broker.report.damages == [.init(file: 1, range: places[1], what: "a damaged record")])
        #expect(broker.delivered() == ["one", "three"])
    }

    /// A malicious publisher predicts the offset of a message and a disk error there.
    @Test func `ignores a record without the file's salt`() throws {
        let first = try #require(disk.header(at: places[0].lowerBound, of: 1))
        disk.put(
            RecordHeader(
                kind: first.kind, payloadBytes: first.payloadBytes,
                payloadChecksum: first.payloadChecksum, salt: first.salt &+ 1, file: 1,
                offset: first.offset))
        let broker = try JournaledBroker(on: disk)
        #expect(
            broker.report.damages == [.init(file: 1, range: places[0], what: "no valid record")])
        #expect(broker.delivered() == ["two", "three"])
    }

    /// A publisher sends bytes of a journal as a message.
    @Test func `ignores a record inside a message`() throws {
        let disk = MemoryDisk()
        let broker = try JournaledBroker(on: disk)
        _ = broker.consumer(ready: 0)
        broker.publish("one")
        let place = try #require(try disk.recordRanges(of: .published, in: 1).first)
        let record = Array(disk.contents[1]![place])
        var bytes: [UInt8] = []
        Command.publish(.plays).append(body: record, to: &bytes)
        broker.client().send(bytes)
        broker.publish("five")

        let holder = try #require(try disk.recordRanges(of: .published, in: 1).dropLast().last)
        let inner = try #require(Array(disk.contents[1]![holder]).firstRange(of: record))
        #expect(
            inner.lowerBound % JournalFormat.alignment == 0,
            "at an offset where the scanner searches")
        disk.contents[1]![holder.lowerBound] ^= 1
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [.init(file: 1, range: holder, what: "no valid record")])
        #expect(next.delivered() == ["one", "five"])
    }

    @Test func `of a newer format version is rejected and stays unchanged`() throws {
        var header = Array(JournalFormat.fileHeader(number: 1, salt: 0, recycledEnd: 0).dropLast(4))
        header[8] += 1
        header.append(little: header.withUnsafeBytes { CRC32C.checksum($0) })
        disk.contents[1]!.replaceSubrange(0..<64, with: header)
        let before = disk.contents
        let refusal = MessageLogError(
            "journal.000001.log was written by a newer version of tally (its format version is "
                + "\(JournalFormat.version + 1), this program reads up to \(JournalFormat.version))"
        )
        #expect(throws: refusal) { try JournaledBroker(on: disk) }
        #expect(disk.contents == before)
    }

    @Test(arguments: [MemoryDisk.Call.list, .read])
    func `that cannot be read is rejected and stays unchanged`(call: MemoryDisk.Call) throws {
        let before = disk.contents
        disk.failing = [call: MemoryDisk.broken]
        #expect(throws: MessageLogError(MemoryDisk.broken)) { try JournaledBroker(on: disk) }
        #expect(disk.contents == before)
    }

    /// A broker that was killed right after it created a file leaves this state.
    @Test func `accepts an empty last file and begins a new one`() throws {
        disk.contents[2] = []
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        broker.publish("four")
        #expect(disk.contents.keys.sorted() == [1, 2, 3])
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["one", "two", "three", "four"])
    }

    @Test func `of one empty file counts as no journal`() throws {
        disk.contents = [1: []]
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        broker.publish("again")
        #expect(try JournaledBroker(on: disk).delivered() == ["again"])
    }

    /// After a power failure a file may consist of zeros.
    @Test func `reports a file of zeros as damaged and begins a new one`() throws {
        disk.contents[2] = [UInt8](repeating: 0, count: 4096)
        let broker = try JournaledBroker(on: disk)
        #expect(
            broker.report.damages
                == [.init(file: 2, range: 0..<64, what: "the file's header is damaged")])
        broker.publish("four")
        #expect(try JournaledBroker(on: disk).delivered() == ["one", "two", "three", "four"])
    }
}

extension MemoryDisk {
    /// The valid header at `offset`, if there is one.
    func header(at offset: Int, of file: UInt32) -> RecordHeader? {
        contents[file]!.withUnsafeBytes {
            RecordHeader(
                $0.view(offset..<$0.count), salt: nil, file: file, offset: offset)
        }
    }

    /// Writes a header at its own offset.
    func put(_ header: RecordHeader) {
        contents[header.file]!.withUnsafeMutableBytes {
            header.write(to: $0.baseAddress! + header.offset)
        }
    }

    /// The ranges of all records of a kind in an undamaged file.
    func recordRanges(of kind: RecordKind, in file: UInt32) throws -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var offset = JournalFormat.fileHeaderBytes
        while offset < contents[file]!.count, let header = header(at: offset, of: file) {
            if header.kind == kind { ranges.append(offset..<header.endOffset) }
            offset = header.endOffset
        }
        return ranges
    }
}
