import BrokerCore
import NSQWire
import Testing
import Transport

@testable import NSQBroker

/// Three messages, each written by itself, and what of them comes back.
@Suite struct `A journal that is damaged` {
    private let disk = MemoryDisk()
    /// Where the record of each message lies.
    private let places: [Range<Int>]

    init() throws {
        try JournaledBroker(on: disk).publish("one", "two", "three")
        places = try disk.places(of: .published, in: 1)
        #expect(places.count == 3)
        // The reserve behind them is of no interest, and long.
        disk.contents[1]!.removeLast(disk.contents[1]!.count - places[2].upperBound)
    }

    @Test func `loses the record that a bit of is flipped, and says where that is`() throws {
        let sound = disk.contents[1]!
        let payload = places[1].lowerBound + JournalFormat.recordHeaderBytes
        let header = try #require(disk.header(at: places[1].lowerBound, of: 1))
        for offset in places[1].lowerBound..<payload + header.payloadBytes {
            disk.contents[1] = sound
            disk.contents[1]![offset] ^= 1 << UInt8(offset % 8)
            let broker = try JournaledBroker(on: disk)
            let what = offset < payload ? "no record" : "a damaged record"
            #expect(broker.report.damages == [.init(file: 1, range: places[1], what: what)])
            #expect(broker.delivered() == ["one", "three"])
        }
    }

    @Test func `has all its records, whichever bit of a file's header is flipped`() throws {
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

    /// What a write leaves that comes to the disk in part, with good ones behind it.
    @Test func `is read on behind the rags of a record`() throws {
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

    @Test func `gives up nothing but the end that was not wholly written`() throws {
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

    @Test func `is written to behind the last whole record`() throws {
        disk.contents[1]!.removeLast(20)
        try JournaledBroker(on: disk).publish("four")
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        #expect(broker.report.tornBytes == 0)
        #expect(broker.delivered() == ["one", "two", "four"])
    }

    /// The system brings what it writes to the disk in any order.
    @Test func `gives up an end whose beginning was not written`() throws {
        let start = places[2].lowerBound
        for offset in start..<start + JournalFormat.recordHeaderBytes {
            disk.contents[1]![offset] = 0
        }
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        #expect(broker.report.tornBytes == places[2].count)
        #expect(broker.delivered() == ["one", "two"])
    }

    /// A write that failed was cut, and others came in its place; then the power failed.
    @Test func `is not hidden by an earlier header that its place has kept`() throws {
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

    /// Somebody knows where their message will lie, and that the disk will damage it.
    @Test func `takes no record for its own that does not know the file's salt`() throws {
        let first = try #require(disk.header(at: places[0].lowerBound, of: 1))
        disk.put(
            RecordHeader(
                kind: first.kind, payloadBytes: first.payloadBytes,
                payloadChecksum: first.payloadChecksum, salt: first.salt &+ 1, file: 1,
                offset: first.offset))
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [.init(file: 1, range: places[0], what: "no record")])
        #expect(broker.delivered() == ["two", "three"])
    }

    /// Somebody publishes what they have read from a journal.
    @Test func `takes no record within a message for one of its own`() throws {
        let record = Array(disk.contents[1]![places[0]])
        let broker = try JournaledBroker(on: disk)
        var bytes: [UInt8] = []
        Command.publish(.plays).append(body: record, to: &bytes)
        broker.client().say(bytes)
        broker.publish("five")

        let holder = try #require(try disk.places(of: .published, in: 1).dropLast().last)
        let inner = try #require(Array(disk.contents[1]![holder]).firstRange(of: record))
        #expect(inner.lowerBound % JournalFormat.alignment == 0, "where records are looked for")
        disk.contents[1]![holder.lowerBound] ^= 1
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [.init(file: 1, range: holder, what: "no record")])
        #expect(next.delivered() == ["one", "two", "three", "five"])
    }

    @Test func `is refused if a newer tally wrote it, and left as it is`() throws {
        var header = Array(JournalFormat.fileHeader(number: 1, salt: 0, remains: 0).dropLast(4))
        header[8] += 1
        header.append(little: header.withUnsafeBytes { CRC32C.checksum($0) })
        disk.contents[1]!.replaceSubrange(0..<64, with: header)
        let before = disk.contents
        let refusal = LedgerError(
            "journal.000001.log was written by a newer tally (its format is "
                + "\(JournalFormat.version + 1), this one reads up to \(JournalFormat.version))")
        #expect(throws: refusal) { try JournaledBroker(on: disk) }
        #expect(disk.contents == before)
    }

    @Test(arguments: [MemoryDisk.Call.list, .read])
    func `is refused and left as it is if it cannot be read`(call: MemoryDisk.Call) throws {
        let before = disk.contents
        disk.failing = [call: MemoryDisk.broken]
        #expect(throws: LedgerError(MemoryDisk.broken)) { try JournaledBroker(on: disk) }
        #expect(disk.contents == before)
    }

    /// A broker that ended as it had begun a file.
    @Test func `has no fault in a file without a byte, and goes on in another`() throws {
        disk.contents[2] = []
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        broker.publish("four")
        #expect(disk.contents.keys.sorted() == [1, 2, 3])
        let next = try JournaledBroker(on: disk)
        #expect(next.report.damages == [])
        #expect(next.delivered() == ["one", "two", "three", "four"])
    }

    @Test func `that is a file without a byte is as good as none`() throws {
        disk.contents = [1: []]
        let broker = try JournaledBroker(on: disk)
        #expect(broker.report.damages == [])
        broker.publish("again")
        #expect(try JournaledBroker(on: disk).delivered() == ["again"])
    }

    /// After a power cut a file may have its length, and nothing in it.
    @Test func `has a fault in a file of zeros, and goes on in another`() throws {
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
    /// The header that stands there, if one does.
    func header(at offset: Int, of file: UInt32) -> RecordHeader? {
        contents[file]!.withUnsafeBytes {
            RecordHeader(
                $0.view(offset..<$0.count), salt: nil, file: file, offset: offset)
        }
    }

    /// Puts a header where it says that it stands.
    func put(_ header: RecordHeader) {
        contents[header.file]!.withUnsafeMutableBytes {
            header.write(to: $0.baseAddress! + header.offset)
        }
    }

    /// Where the records of a kind lie, in a file in which nothing is damaged.
    func places(of kind: RecordKind, in file: UInt32) throws -> [Range<Int>] {
        var places: [Range<Int>] = []
        var offset = JournalFormat.fileHeaderBytes
        while offset < contents[file]!.count, let header = header(at: offset, of: file) {
            if header.kind == kind { places.append(offset..<header.end) }
            offset = header.end
        }
        return places
    }
}
