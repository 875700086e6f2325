import NSQWire
import UVLoop

/// Splits the received bytes of a connection into frames, without copying messages.
///
/// libuv reads directly into a buffer, and messages stay in that buffer: a batch has a reference to
/// the buffer and the offsets of the messages. When a buffer is full, reading continues in another
/// one, and only the bytes of an incomplete frame are copied.
struct FrameReader {
    /// The size of a buffer in bytes. A buffer has space for over 400 messages of 200 bytes, so the
    /// cost per read is small, and the buffer still fits in the processor's cache.
    static let bufferBytes = 256 * 1024
    /// The minimum number of free bytes for a read; with fewer, reading continues in another
    /// buffer.
    static let minFreeBytes = 64 * 1024
    /// The maximum number of full buffers kept for reuse after all their batches are released.
    static let maxSpareBuffers = 4

    private var buffer: ReceiveBuffer
    private var spareBuffers: [ReceiveBuffer] = []
    private let maxFrameBytes: Int
    private let directWriter: DirectWriter?
    // INVARIANT: 0 <= parsed <= filled <= buffer.memory.count
    private var parsed = 0
    private var filled = 0
    /// The length in bytes of the incomplete frame at `parsed`; the length of a frame header until
    /// the frame's size field is received.
    private var pendingBytes = Frame.headerBytes

    init(maxFrameBytes: Int, directWriter: DirectWriter? = nil) {
        self.maxFrameBytes = maxFrameBytes
        self.directWriter = directWriter
        buffer = ReceiveBuffer(byteCount: Self.bufferBytes, directWriter: directWriter)
    }

    /// Returns memory of at least one byte for the next read.
    mutating func readBuffer() -> UnsafeMutableRawBufferPointer {
        let hasUsualSize = buffer.memory.count == Self.bufferBytes
        if parsed == filled, hasUsualSize, isKnownUniquelyReferenced(&buffer) {
            parsed = 0
            filled = 0
        }
        let freeBytes = buffer.memory.count - filled
        if freeBytes < Self.minFreeBytes || parsed + pendingBytes > buffer.memory.count {
            switchBuffer()
        }
        return UnsafeMutableRawBufferPointer(rebasing: buffer.memory[filled...])
    }

    /// Records that `count` bytes were read into the memory from ``readBuffer()``.
    mutating func didRead(_ count: Int) {
        filled += count
        precondition(filled <= buffer.memory.count, "a read does not exceed its memory")
    }

    /// Appends bytes that were decoded by a transport layer, at most ``minFreeBytes``. All complete
    /// frames must be parsed before.
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        readBuffer().copyMemory(from: bytes)
        didRead(bytes.count)
    }

    /// Removes and returns the bytes that are not parsed yet.
    mutating func removeUnparsed() -> [UInt8] {
        defer { filled = parsed }
        return Array(buffer.memory[parsed..<filled])
    }

    /// Parses frames up to the next frame that is not a message, and appends the byte offset of
    /// each message.
    ///
    /// - Returns: the frame that is not a message, valid until the next call of ``readBuffer()``;
    ///   nil when no complete frame is left.
    mutating func collectMessages(
        into offsets: inout [UInt32]
    ) throws(FrameError) -> ReceivedFrame? {
        let bytes = Bytes(start: buffer.memory.baseAddress, count: filled)
        var offset = parsed
        defer { parsed = offset }
        while true {
            let start = offset
            guard
                let frame = try FrameScanner.next(in: bytes, at: &offset, limit: maxFrameBytes)
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

    /// The buffer to which the offsets collected since the last ``readBuffer()`` refer.
    var currentBuffer: ReceiveBuffer { buffer }

    private static func pendingBytes(in bytes: Bytes, at offset: Int) -> Int {
        guard bytes.count - offset >= 4 else { return Frame.headerBytes }
        return 4 + Int(bytes.bigEndian(at: offset, as: Int32.self))
    }

    /// Continues in a buffer that has space for the whole pending frame.
    private mutating func switchBuffer() {
        let tail = UnsafeRawBufferPointer(rebasing: buffer.memory[parsed..<filled])
        let neededBytes = max(Self.bufferBytes, pendingBytes + Self.minFreeBytes)
        if buffer.memory.count == neededBytes, isKnownUniquelyReferenced(&buffer) {
            // Source and destination may overlap, which copyMemory allows.
            buffer.memory.copyMemory(from: tail)
        } else {
            let next = nextBuffer(byteCount: neededBytes)
            next.memory.copyMemory(from: tail)
            if buffer.memory.count == Self.bufferBytes, spareBuffers.count < Self.maxSpareBuffers {
                spareBuffers.append(buffer)
            }
            buffer = next
        }
        parsed = 0
        filled = tail.count
    }

    private mutating func nextBuffer(byteCount: Int) -> ReceiveBuffer {
        if byteCount == Self.bufferBytes {
            for index in spareBuffers.indices
            where isKnownUniquelyReferenced(&spareBuffers[index]) {
                return spareBuffers.remove(at: index)
            }
            // Batches still refer to all spare buffers, so the oldest one is released to keep a
            // newer one.
            if spareBuffers.count == Self.maxSpareBuffers { spareBuffers.removeFirst() }
        }
        return ReceiveBuffer(byteCount: byteCount, directWriter: directWriter)
    }
}
