import NSQWire

/// Turns what is read from a connection into frames, without moving the bytes of messages.
///
/// libuv reads straight into a block. Messages stay there, and a batch is the block and where its
/// messages begin. A block that is full is followed by another; only the beginning of a frame that
/// is not complete moves along.
struct Intake {
    /// What a block holds: a good four hundred messages of 200 bytes at a read, few enough reads
    /// to cost nothing, and small enough to stay in the cache.
    static let blockBytes = 256 * 1024
    /// With less room than this left, reading goes on in another block.
    static let leastRoomBytes = 64 * 1024
    /// Blocks kept for later while batches still hold them; further ones are left to the batches.
    static let mostSpares = 4

    private var block = ReadBlock(byteCount: Intake.blockBytes)
    private var spares: [ReadBlock] = []
    private let largestFrameBytes: Int
    // INVARIANT: 0 <= parsed <= filled <= block.memory.count
    private var parsed = 0
    private var filled = 0
    /// The whole length of the frame at `parsed`, as far as it is known.
    private var pendingBytes = Frame.headerBytes

    init(largestFrameBytes: Int) {
        self.largestFrameBytes = largestFrameBytes
    }

    /// Where to read to: never empty.
    mutating func room() -> UnsafeMutableRawBufferPointer {
        let isOrdinary = block.memory.count == Self.blockBytes
        if parsed == filled, isOrdinary, isKnownUniquelyReferenced(&block) {
            parsed = 0
            filled = 0
        }
        let roomBytes = block.memory.count - filled
        if roomBytes < Self.leastRoomBytes || parsed + pendingBytes > block.memory.count {
            turnOver()
        }
        return UnsafeMutableRawBufferPointer(rebasing: block.memory[filled...])
    }

    /// So many bytes have come into the room.
    mutating func took(_ count: Int) {
        filled += count
        precondition(filled <= block.memory.count, "what was read fits into the room it was given")
    }

    /// Passes over messages, noting where their frames begin, up to the next frame of another kind.
    ///
    /// - Returns: that frame, valid until the next call of `room`; nil when the bytes are used up.
    mutating func collectMessages(
        into offsets: inout [UInt32]
    ) throws(FrameError) -> ReceivedFrame? {
        let bytes = Bytes(start: block.memory.baseAddress, count: filled)
        var offset = parsed
        defer { parsed = offset }
        while true {
            let start = offset
            guard let frame = try FrameReader.next(in: bytes, at: &offset, limit: largestFrameBytes)
            else {
                pendingBytes = Self.pendingBytes(in: bytes, at: offset)
                return nil
            }
            guard frame.kind == .message else { return frame }
            guard frame.data.count >= MessageFrame.bodyOffset - Frame.headerBytes else {
                throw .shortMessage(bytes: frame.data.count)
            }
            offsets.append(UInt32(truncatingIfNeeded: start))
        }
    }

    /// The block that the offsets collected since `room` refer to.
    var currentBlock: ReadBlock { block }

    private static func pendingBytes(in bytes: Bytes, at offset: Int) -> Int {
        guard bytes.count - offset >= 4 else { return Frame.headerBytes }
        return 4 + Int(bytes.bigEndian(at: offset, as: Int32.self))
    }

    /// Goes on in a block that has room for the whole pending frame.
    private mutating func turnOver() {
        let tail = UnsafeRawBufferPointer(rebasing: block.memory[parsed..<filled])
        let needed = max(Self.blockBytes, pendingBytes + Self.leastRoomBytes)
        if block.memory.count == needed, isKnownUniquelyReferenced(&block) {
            // Within the block: the two places may overlap.
            block.memory.copyMemory(from: tail)
        } else {
            let next = takeSpare(byteCount: needed)
            next.memory.copyMemory(from: tail)
            if block.memory.count == Self.blockBytes, spares.count < Self.mostSpares {
                spares.append(block)
            }
            block = next
        }
        parsed = 0
        filled = tail.count
    }

    private mutating func takeSpare(byteCount: Int) -> ReadBlock {
        if byteCount == Self.blockBytes {
            for index in spares.indices where isKnownUniquelyReferenced(&spares[index]) {
                return spares.remove(at: index)
            }
            // All are held by batches. Give the oldest up, so that newer ones can be spares.
            if spares.count == Self.mostSpares { spares.removeFirst() }
        }
        return ReadBlock(byteCount: byteCount)
    }
}
