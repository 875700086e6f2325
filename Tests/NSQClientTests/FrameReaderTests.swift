import NSQWire
import Testing

@testable import NSQClient

private struct WeakBuffer {
    weak var buffer: ReceiveBuffer?
}

@Suite struct `The frame reader` {
    private var reader = FrameReader(maxFrameBytes: 16 << 20)
    private var read: [(buffer: ReceiveBuffer, offset: Int)] = []
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

    /// Passes `bytes` to the reader as libuv does, at most `piece` bytes at a time.
    private mutating func feed(_ bytes: [UInt8], piece: Int = .max) throws(FrameError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let memory = reader.readBuffer()
            let portion = rest.prefix(min(piece, memory.count))
            rest = rest.dropFirst(portion.count)
            memory.copyBytes(from: portion)
            reader.didRead(portion.count)
            var more = true
            while more {
                var offsets: [UInt32] = []
                let frame = try reader.collectMessages(into: &offsets)
                for offset in offsets { read.append((reader.currentBuffer, Int(offset))) }
                if let frame { responses.append(frame.data.text) }
                more = frame != nil
            }
        }
    }

    private var bodies: [[UInt8]] {
        read.map { Array(ReceivedMessage(in: $0.buffer, at: $0.offset).body) }
    }

    @Test(arguments: [1, 2, 3, 7, 33, 34, 35, 1000])
    mutating func `finds the same frames however the bytes are split`(piece: Int) throws {
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

    @Test mutating func `keeps the bytes of retained messages unchanged over many buffers`() throws
    {
        let sent = (0..<5000).map { Array(repeating: UInt8(truncatingIfNeeded: $0), count: 500) }
        try feed(sent.flatMap(Self.message), piece: 65_536)
        #expect(bodies == sent)
    }

    @Test mutating func `reuses one buffer when no batch refers to it`() throws {
        let first = reader.readBuffer().baseAddress
        let bytes = Self.message(Array(repeating: 1, count: 1000))
        for _ in 0..<2000 {
            try feed(bytes)
            read = []
        }
        #expect(reader.readBuffer().baseAddress == first)
    }

    @Test mutating func `reads a message that is larger than a buffer`() throws {
        let large = Array(repeating: UInt8(7), count: 3 << 20)
        for _ in 0..<3 { try feed(Self.message([1]) + Self.message(large) + Self.message([2])) }
        #expect(bodies == [[1], large, [2], [1], large, [2], [1], large, [2]])
    }

    @Test mutating func `keeps a bounded number of spare buffers, also after large messages`()
        throws
    {
        let usual = Self.message(Array(repeating: 1, count: FrameReader.minFreeBytes))
        let large = Self.message(Array(repeating: 2, count: 2 * FrameReader.bufferBytes))
        for _ in 0..<8 {
            for _ in 0..<16 { try feed(usual) }
            try feed(large)
        }
        let buffers = read.map { WeakBuffer(buffer: $0.buffer) }
        read = []
        let alive = Set(buffers.compactMap { $0.buffer.map(ObjectIdentifier.init) })
        #expect(alive.count <= FrameReader.maxSpareBuffers + 1)
    }

    @Test mutating func `rejects a frame larger than the maximum before it is read`() {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32.max)
        #expect(throws: FrameError.badSize(.max)) { try feed(bytes) }
    }

    @Test(arguments: [Int32(0), 3, -1, .min])
    mutating func `rejects an impossible frame size`(size: Int32) {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: size)
        #expect(throws: FrameError.badSize(size)) { try feed(bytes, piece: 1) }
    }

    @Test mutating func `rejects an unknown frame type and a truncated message`() {
        var unknown: [UInt8] = []
        unknown.append(bigEndian: Int32(6))
        unknown.append(bigEndian: Int32(3))
        #expect(throws: FrameError.badKind(3)) { try feed(unknown) }
        reader = FrameReader(maxFrameBytes: 1000)
        var short: [UInt8] = []
        Frame.append(.message, Array(repeating: 0, count: 25), to: &short)
        #expect(throws: FrameError.shortMessage(bytes: 25)) { try feed(short) }
    }
}
