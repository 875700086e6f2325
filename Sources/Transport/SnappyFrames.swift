import CSnappy

/// Snappy's framing format: a stream of chunks, each with a type, a length and a checksum.
///
/// - SeeAlso: google/snappy, `framing_format.txt`.
package final class SnappyFrames: TransportLayer {
    /// `false`, because the format has no end mark.
    package var hasEnded: Bool { false }

    /// The received part of an incomplete chunk.
    private let partial = ByteBuffer()
    /// The number of bytes of the current skippable chunk that have not been received yet.
    private var bytesToSkip = 0
    private var hasSeenIdentifier = false

    /// The data of the next chunk to send, usually all messages of a loop iteration.
    private let pending = ByteBuffer()
    private var hasSentIdentifier = false

    /// Creates the layer of a new connection.
    package init() {}

    /// The maximum number of data bytes in a chunk.
    private static let maxDataBytes = 65_536
    /// The maximum number of data bytes in a sent chunk. A chunk of this size fits in one TLS record.
    /// pynsq reads one TLS record at a time, and fails if a read does not complete a chunk.
    private static let maxSentDataBytes = 16_000
    /// The maximum length of a received chunk in bytes, which has a checksum and incompressible data.
    private static let maxReceivedChunkBytes =
        checksumBytes + snappy_max_compressed_length(maxDataBytes)
    private static let headerBytes = 4
    private static let checksumBytes = 4
    private static let identifier = Array("sNaPpY".utf8)

    private enum ChunkType {
        static let compressed: UInt8 = 0x00
        static let plain: UInt8 = 0x01
        static let skippable: ClosedRange<UInt8> = 0x80...0xfe
        static let identifier: UInt8 = 0xff
    }

    // MARK: Receiving

    package func decode(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int
    ) throws(TransportError) -> Bool {
        let end = plain.count + limit
        while plain.count < end {
            let skipped = min(bytesToSkip, wire.count)
            bytesToSkip -= skipped
            wire = wire.dropping(skipped)
            guard bytesToSkip == 0, try decodeChunk(from: &wire, into: plain) else { return false }
        }
        return !wire.isEmpty
    }

    /// Decodes one chunk.
    ///
    /// - Returns: `false` if the chunk is incomplete.
    private func decodeChunk(
        from wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer
    ) throws(TransportError) -> Bool {
        // Most chunks are complete in the received bytes and need no copy.
        if partial.isEmpty, let length = try bytesToDecode(at: wire), length <= wire.count {
            let chunk = UnsafeRawBufferPointer(rebasing: wire[..<length])
            wire = wire.dropping(length)
            try decode(chunk, into: plain)
            return true
        }
        if partial.count < Self.headerBytes { buffer(upTo: Self.headerBytes, from: &wire) }
        guard let length = try bytesToDecode(at: partial.bytes) else { return false }
        buffer(upTo: length, from: &wire)
        guard partial.count == length else { return false }
        try decode(partial.bytes, into: plain)
        partial.clear()
        return true
    }

    /// Moves bytes from `wire` to ``partial`` until ``partial`` has `length` bytes or `wire` is
    /// empty.
    private func buffer(upTo length: Int, from wire: inout UnsafeRawBufferPointer) {
        let moved = min(length - partial.count, wire.count)
        partial.append(UnsafeRawBufferPointer(rebasing: wire[..<moved]))
        wire = wire.dropping(moved)
    }

    /// Checks a chunk's header.
    ///
    /// - Returns: the length of the chunk with its header in bytes. For a skippable chunk, it is the
    ///   length of the header, because the data is skipped without decoding. `nil` if the header is
    ///   incomplete.
    private func bytesToDecode(at bytes: UnsafeRawBufferPointer) throws(TransportError) -> Int? {
        guard bytes.count >= Self.headerBytes else { return nil }
        let (type, length) = header(of: bytes)
        guard hasSeenIdentifier || type == ChunkType.identifier else {
            throw .snappy("the stream does not start with its identifier")
        }
        switch type {
        case ChunkType.skippable: return Self.headerBytes
        case ChunkType.identifier where length != Self.identifier.count:
            throw .snappy("a stream identifier of \(length) bytes")
        case ChunkType.compressed where length > Self.maxReceivedChunkBytes,
            ChunkType.plain where length > Self.checksumBytes + Self.maxDataBytes:
            throw .snappy("a chunk of \(length) bytes")
        case ChunkType.compressed where length < Self.checksumBytes,
            ChunkType.plain where length < Self.checksumBytes:
            throw .snappy("a chunk of \(length) bytes, too short for its checksum")
        case ChunkType.compressed, ChunkType.plain, ChunkType.identifier:
            return Self.headerBytes + length
        default: throw .snappy("a chunk of the unknown type \(type)")
        }
    }

    private func header(of bytes: UnsafeRawBufferPointer) -> (type: UInt8, length: Int) {
        let word = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
        return (UInt8(truncatingIfNeeded: word), Int(word >> 8))
    }

    private func decode(
        _ chunk: UnsafeRawBufferPointer, into plain: ByteBuffer
    ) throws(TransportError) {
        let (type, length) = header(of: chunk)
        let body = chunk.dropping(Self.headerBytes)
        switch type {
        case ChunkType.skippable: bytesToSkip = length
        case ChunkType.identifier:
            guard body.elementsEqual(Self.identifier) else {
                throw .snappy("invalid stream identifier")
            }
            hasSeenIdentifier = true
        default:
            let checksum = UInt32(littleEndian: body.loadUnaligned(as: UInt32.self))
            let data = body.dropping(Self.checksumBytes)
            if type == ChunkType.plain {
                try verify(data, checksum)
                plain.append(data)
            } else {
                try uncompress(data, checksum, into: plain)
            }
        }
    }

    private func uncompress(
        _ data: UnsafeRawBufferPointer, _ checksum: UInt32, into plain: ByteBuffer
    ) throws(TransportError) {
        let source = data.baseAddress?.assumingMemoryBound(to: CChar.self)
        var length = 0
        guard snappy_uncompressed_length(source, data.count, &length) == SNAPPY_OK,
            length <= Self.maxDataBytes
        else {
            throw .snappy("a chunk of more than \(Self.maxDataBytes) bytes or an unknown number")
        }
        guard length > 0 else {
            return try verify(UnsafeRawBufferPointer(start: nil, count: 0), checksum)
        }
        var failure: TransportError?
        plain.append(atLeast: length) { memory in
            let target = memory.baseAddress!.assumingMemoryBound(to: CChar.self)
            do throws(TransportError) {
                guard snappy_uncompress(source, data.count, target, &length) == SNAPPY_OK else {
                    throw .snappy("a chunk that does not decompress")
                }
                try verify(UnsafeRawBufferPointer(rebasing: memory[..<length]), checksum)
                return length
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
    }

    private func verify(
        _ data: UnsafeRawBufferPointer, _ checksum: UInt32
    ) throws(TransportError) {
        guard CRC32C.masked(data) == checksum else { throw .snappy("a bad checksum") }
    }

    // MARK: Sending

    package func encode(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        var rest = plain
        while !rest.isEmpty {
            let count = min(rest.count, Self.maxSentDataBytes - pending.count)
            let next = UnsafeRawBufferPointer(rebasing: rest[..<count])
            rest = rest.dropping(count)
            if count == Self.maxSentDataBytes {
                write(next, into: wire)
            } else {
                pending.append(next)
                if pending.count == Self.maxSentDataBytes { flush(into: wire) }
            }
        }
    }

    package func flush(into wire: ByteBuffer) {
        guard !pending.isEmpty else { return }
        write(pending.bytes, into: wire)
        pending.clear()
    }

    private func write(_ data: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        if !hasSentIdentifier {
            hasSentIdentifier = true
            wire.append([ChunkType.identifier, UInt8(Self.identifier.count), 0, 0])
            wire.append(Self.identifier)
        }
        let checksum = CRC32C.masked(data)
        let maxLength = snappy_max_compressed_length(data.count)
        wire.append(atLeast: Self.headerBytes + Self.checksumBytes + maxLength) { memory in
            let body = UnsafeMutableRawBufferPointer(
                rebasing: memory[(Self.headerBytes + Self.checksumBytes)...])
            var length = body.count
            let status = snappy_compress(
                data.baseAddress!.assumingMemoryBound(to: CChar.self), data.count,
                body.baseAddress!.assumingMemoryBound(to: CChar.self), &length)
            precondition(status == SNAPPY_OK, "the memory is large enough for incompressible data")
            // As in the reference implementation, compressed data is sent only if it saves an
            // eighth or more.
            let isWorthwhile = length < data.count - data.count / 8
            if !isWorthwhile {
                body.copyMemory(from: data)
                length = data.count
            }
            let type = UInt32(isWorthwhile ? ChunkType.compressed : ChunkType.plain)
            let header = type | UInt32(Self.checksumBytes + length) << 8
            memory.storeBytes(of: header.littleEndian, as: UInt32.self)
            memory.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
            return Self.headerBytes + Self.checksumBytes + length
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Returns all bytes except the first `count`.
    func dropping(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[count...])
    }
}
