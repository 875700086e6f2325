import NSQWire
import TestTraits
import Transport
import Testing

@testable import NSQBroker

@Suite(.blocking) struct `The journal format` {
    @Test func `accepts a record only at its own file and offset`() {
        let bytes = header(file: 3, offset: 640)
        bytes.withUnsafeBytes {
            #expect(RecordHeader($0, salt: 9, file: 3, offset: 640)?.payloadBytes == 100)
            // An older record at the offset, and bytes inside a message.
            #expect(RecordHeader($0, salt: 9, file: 3, offset: 648) == nil)
            #expect(RecordHeader($0, salt: 9, file: 4, offset: 640) == nil)
            #expect(RecordHeader($0, salt: 8, file: 3, offset: 640) == nil)
        }
    }

    @Test func `detects each changed bit of a record header`() {
        let bytes = header(file: 3, offset: 640)
        for bit in 0..<8 * bytes.count {
            var changed = bytes
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            changed.withUnsafeBytes {
                #expect(RecordHeader($0, salt: 9, file: 3, offset: 640) == nil)
            }
        }
    }

    @Test func `rejects a newer version and distinguishes it from damage`() {
        var bytes = JournalFormat.fileHeader(number: 2, salt: 9, recycledEnd: 5 << 32)
        #expect(check(bytes, number: 2) == .valid(salt: 9, recycledEnd: 5 << 32))
        #expect(check(bytes, number: 3) == .ofRecycledFile)
        #expect(check(bytes, number: 1) == .damaged)
        bytes[8] ^= 0x40
        #expect(check(bytes, number: 2) == .damaged)
        bytes.removeLast(4)
        bytes.append(little: bytes.withUnsafeBytes { CRC32C.checksum($0) })
        #expect(check(bytes, number: 2) == .newer(version: JournalFormat.version ^ 0x40))
    }

    private func check(_ bytes: [UInt8], number: UInt32) -> JournalFormat.FileHeader {
        bytes.withUnsafeBytes { JournalFormat.check(fileHeader: $0, number: number) }
    }

    @Test func `gives files names that sort by number`() {
        #expect(JournalFile.name(of: 7) == "journal.000007.log")
        #expect(JournalFile.number(in: "journal.000007.log") == 7)
        #expect(JournalFile.number(in: "journal.1000007.log") == 1_000_007)
        #expect(JournalFile.number(in: "nsqd.dat") == nil)
    }

    private func header(file: UInt32, offset: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: JournalFormat.recordHeaderBytes)
        bytes.withUnsafeMutableBytes {
            RecordHeader(
                kind: .published, payloadBytes: 100, payloadChecksum: 0xfeed, salt: 9,
                file: file, offset: offset
            ).write(to: $0.baseAddress!)
        }
        return bytes
    }
}
