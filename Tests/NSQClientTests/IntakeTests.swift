import NSQWire
import Testing

@testable import NSQClient

@Suite struct `Bytes read from nsqd` {
    private var intake = Intake(largestFrameBytes: 16 << 20)
    private var read: [(block: ReadBlock, offset: Int)] = []
    private var responses: [String] = []

    private static func message(_ body: [UInt8]) -> [UInt8] {
        var data: [UInt8] = []
        data.append(bigEndian: Int64(7))
        data.append(bigEndian: UInt16(1))
        data += MessageID(0xabc).bytes
        data += body
        var bytes: [UInt8] = []
        Frame.append(.message, data, to: &bytes)
        return bytes
    }

    /// Feeds `bytes` as libuv would, at most `piece` at a time.
    private mutating func feed(_ bytes: [UInt8], piece: Int = .max) throws(FrameError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let room = intake.room()
            let taken = rest.prefix(min(piece, room.count))
            rest = rest.dropFirst(taken.count)
            room.copyBytes(from: taken)
            intake.took(taken.count)
            var more = true
            while more {
                var offsets: [UInt32] = []
                let frame = try intake.collectMessages(into: &offsets)
                for offset in offsets { read.append((intake.currentBlock, Int(offset))) }
                if let frame { responses.append(frame.data.text) }
                more = frame != nil
            }
        }
    }

    private var bodies: [[UInt8]] {
        read.map { Array(ReceivedMessage(inBlock: $0.block, at: $0.offset).body) }
    }

    @Test(arguments: [1, 2, 3, 7, 33, 34, 35, 1000])
    mutating func `become frames in whatever pieces they come`(piece: Int) throws {
        let sent = (1...40).map { Array(repeating: UInt8($0), count: $0) }
        var bytes: [UInt8] = []
        for body in sent {
            bytes += Self.message(body)
            bytes += responseFrame(Frame.heartbeat)
        }
        try feed(bytes, piece: piece)
        #expect(bodies == sent)
        #expect(responses.count == 40)
    }

    @Test mutating func `stay as they are while a batch holds them, over many blocks`() throws {
        let sent = (0..<5000).map { Array(repeating: UInt8(truncatingIfNeeded: $0), count: 500) }
        try feed(sent.flatMap(Self.message), piece: 65_536)
        #expect(bodies == sent)
    }

    @Test mutating func `use one block over and over when nobody holds it`() throws {
        let first = intake.room().baseAddress
        let bytes = Self.message(Array(repeating: 1, count: 1000))
        for _ in 0..<2000 {
            try feed(bytes)
            read = []
        }
        #expect(intake.room().baseAddress == first)
    }

    @Test mutating func `may be a message larger than a block`() throws {
        let large = Array(repeating: UInt8(7), count: 3 << 20)
        for _ in 0..<3 { try feed(Self.message([1]) + Self.message(large) + Self.message([2])) }
        #expect(bodies == [[1], large, [2], [1], large, [2], [1], large, [2]])
    }

    @Test mutating func `end the connection at a size beyond the bound, before it is read`() {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32.max)
        #expect(throws: FrameError.badSize(.max)) { try feed(bytes) }
    }

    @Test(arguments: [Int32(0), 3, -1, .min])
    mutating func `end the connection at a size that cannot be`(size: Int32) {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: size)
        #expect(throws: FrameError.badSize(size)) { try feed(bytes, piece: 1) }
    }

    @Test mutating func `end the connection at an unknown kind and at a cut message`() {
        var unknown: [UInt8] = []
        unknown.append(bigEndian: Int32(6))
        unknown.append(bigEndian: Int32(3))
        #expect(throws: FrameError.badKind(3)) { try feed(unknown) }
        intake = Intake(largestFrameBytes: 1000)
        var short: [UInt8] = []
        Frame.append(.message, Array(repeating: 0, count: 25), to: &short)
        #expect(throws: FrameError.shortMessage(bytes: 25)) { try feed(short) }
    }
}
