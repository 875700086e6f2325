import CSnappy

/// Snappy's framing format: a stream of chunks, each with a type, a length and its own checksum.
///
/// - SeeAlso: google/snappy, `framing_format.txt`.
package final class SnappyFrames: Layer {
    /// A frame never says that it is the last one.
    package var hasEnded: Bool { false }

    /// The chunk that is still coming in.
    private let partial = ByteBuffer()
    /// Bytes of a chunk to be skipped that have not come yet.
    private var bytesToSkip = 0
    private var hasSeenIdentifier = false

    /// What goes into the next chunk; as a rule a turn's messages share one.
    private let gathered = ByteBuffer()
    private var hasSentIdentifier = false

    package init() {}

    /// The most data a chunk may hold.
    private static let mostBytes = 65_536
    /// The most data we put into a chunk: whole, it fits into one TLS record. pynsq takes a read
    /// that brings no whole chunk for an error, and under TLS it reads record by record.
    private static let chunkBytes = 16_000
    /// A checksum, and data that does not compress at all.
    private static let longestChunk = checksumBytes + snappy_max_compressed_length(mostBytes)
    private static let headerBytes = 4
    private static let checksumBytes = 4
    private static let identifier = Array("sNaPpY".utf8)

    private enum ChunkType {
        static let compressed: UInt8 = 0x00
        static let plain: UInt8 = 0x01
        static let skippable: ClosedRange<UInt8> = 0x80...0xfe
        static let identifier: UInt8 = 0xff
    }

    // MARK: In

    package func incoming(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int
    ) throws(TransportError) -> Bool {
        let full = plain.count + limit
        while plain.count < full {
            let skipped = min(bytesToSkip, wire.count)
            bytesToSkip -= skipped
            wire = wire.dropping(skipped)
            guard bytesToSkip == 0, try takeChunk(from: &wire, into: plain) else { return false }
        }
        return !wire.isEmpty
    }

    /// - Returns: `false` if it is not all there yet.
    private func takeChunk(
        from wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer
    ) throws(TransportError) -> Bool {
        // Straight from what came if it is all in it, which most are.
        if partial.isEmpty, let length = try lengthOfChunk(at: wire), length <= wire.count {
            let chunk = UnsafeRawBufferPointer(rebasing: wire[..<length])
            wire = wire.dropping(length)
            try read(chunk, into: plain)
            return true
        }
        if partial.count < Self.headerBytes { move(upTo: Self.headerBytes, from: &wire) }
        guard let length = try lengthOfChunk(at: partial.bytes) else { return false }
        move(upTo: length, from: &wire)
        guard partial.count == length else { return false }
        try read(partial.bytes, into: plain)
        partial.clear()
        return true
    }

    private func move(upTo length: Int, from wire: inout UnsafeRawBufferPointer) {
        let moved = min(length - partial.count, wire.count)
        partial.append(UnsafeRawBufferPointer(rebasing: wire[..<moved]))
        wire = wire.dropping(moved)
    }

    /// The length of the chunk that begins here, with its header; of one to be skipped, the header
    /// alone. `nil` if there is not even that.
    private func lengthOfChunk(at bytes: UnsafeRawBufferPointer) throws(TransportError) -> Int? {
        guard bytes.count >= Self.headerBytes else { return nil }
        let (type, length) = header(of: bytes)
        guard hasSeenIdentifier || type == ChunkType.identifier else {
            throw .snappy("the stream does not begin with its identifier")
        }
        switch type {
        case ChunkType.skippable: return Self.headerBytes
        case ChunkType.identifier where length != Self.identifier.count:
            throw .snappy("a stream identifier of \(length) bytes")
        case ChunkType.compressed where length > Self.longestChunk,
            ChunkType.plain where length > Self.checksumBytes + Self.mostBytes:
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

    private func read(
        _ chunk: UnsafeRawBufferPointer, into plain: ByteBuffer
    ) throws(TransportError) {
        let (type, length) = header(of: chunk)
        let body = chunk.dropping(Self.headerBytes)
        switch type {
        case ChunkType.skippable: bytesToSkip = length
        case ChunkType.identifier:
            guard body.elementsEqual(Self.identifier) else {
                throw .snappy("not the identifier of a snappy stream")
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
            length <= Self.mostBytes
        else { throw .snappy("a chunk that holds more than \(Self.mostBytes) bytes, or none") }
        guard length > 0 else {
            return try verify(UnsafeRawBufferPointer(start: nil, count: 0), checksum)
        }
        var failure: TransportError?
        plain.append(atLeast: length) { room in
            let target = room.baseAddress!.assumingMemoryBound(to: CChar.self)
            do throws(TransportError) {
                guard snappy_uncompress(source, data.count, target, &length) == SNAPPY_OK else {
                    throw .snappy("a chunk that does not decompress")
                }
                try verify(UnsafeRawBufferPointer(rebasing: room[..<length]), checksum)
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

    // MARK: Out

    package func outgoing(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        var rest = plain
        while !rest.isEmpty {
            let count = min(rest.count, Self.chunkBytes - gathered.count)
            let next = UnsafeRawBufferPointer(rebasing: rest[..<count])
            rest = rest.dropping(count)
            if count == Self.chunkBytes {
                write(next, into: wire)
            } else {
                gathered.append(next)
                if gathered.count == Self.chunkBytes { flush(into: wire) }
            }
        }
    }

    package func flush(into wire: ByteBuffer) {
        guard !gathered.isEmpty else { return }
        write(gathered.bytes, into: wire)
        gathered.clear()
    }

    private func write(_ data: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        if !hasSentIdentifier {
            hasSentIdentifier = true
            wire.append([ChunkType.identifier, UInt8(Self.identifier.count), 0, 0])
            wire.append(Self.identifier)
        }
        let checksum = CRC32C.masked(data)
        let mostLength = snappy_max_compressed_length(data.count)
        wire.append(atLeast: Self.headerBytes + Self.checksumBytes + mostLength) { room in
            let body = UnsafeMutableRawBufferPointer(
                rebasing: room[(Self.headerBytes + Self.checksumBytes)...])
            var length = body.count
            let status = snappy_compress(
                data.baseAddress!.assumingMemoryBound(to: CChar.self), data.count,
                body.baseAddress!.assumingMemoryBound(to: CChar.self), &length)
            precondition(status == SNAPPY_OK, "there is room for what compresses worst")
            // An eighth less is the least that pays, says the format's own writer.
            let pays = length < data.count - data.count / 8
            if !pays {
                body.copyMemory(from: data)
                length = data.count
            }
            let type = UInt32(pays ? ChunkType.compressed : ChunkType.plain)
            let header = type | UInt32(Self.checksumBytes + length) << 8
            room.storeBytes(of: header.littleEndian, as: UInt32.self)
            room.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
            return Self.headerBytes + Self.checksumBytes + length
        }
    }
}

extension UnsafeRawBufferPointer {
    /// All but the first `count` bytes.
    func dropping(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[count...])
    }
}
