import CZlib

/// Raw deflate (RFC 1951, no header), one stream each way; a sync flush ends what is sent at once.
package final class Deflate: Layer {
    package private(set) var hasEnded = false

    // zlib's streams hold pointers to themselves, so each stays where it is.
    private let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let deflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    /// Something has been sent since the last flush.
    private var isDirty = false

    /// - Parameter level: 1 (fast) to 9 (small), of what is sent.
    package init(level: Int) {
        precondition((1...9).contains(level), "zlib knows levels 1 to 9")
        let size = Int32(MemoryLayout<z_stream>.size)
        inflater.initialize(to: z_stream())
        deflater.initialize(to: z_stream())
        // A negative window says: raw, without zlib's header.
        let inflating = inflateInit2_(inflater, -MAX_WBITS, ZLIB_VERSION, size)
        let deflating = deflateInit2_(
            deflater, Int32(level), Z_DEFLATED, -MAX_WBITS, Self.memoryLevel, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, size)
        precondition(inflating == Z_OK && deflating == Z_OK, "zlib finds memory for a stream")
    }

    deinit {
        inflateEnd(inflater)
        deflateEnd(deflater)
        inflater.deallocate()
        deflater.deallocate()
    }

    /// zlib's own default: 256 KB for a stream that compresses.
    private static let memoryLevel: Int32 = 8
    private static let leastRoom = 4096

    // MARK: In

    package func incoming(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int
    ) throws(TransportError) -> Bool {
        let full = plain.count + limit
        var status = Z_OK
        var isDrained = false
        while !hasEnded, !isDrained, plain.count < full {
            lend(wire, to: inflater)
            let wanted = min(max(wire.count, Self.leastRoom), full - plain.count)
            plain.append(atLeast: wanted) { room in
                let capacity = min(room.count, full - plain.count)
                lend(UnsafeMutableRawBufferPointer(rebasing: room[..<capacity]), to: inflater)
                status = inflate(inflater, Z_SYNC_FLUSH)
                // Whatever it still has does not fill the room.
                isDrained = inflater.pointee.avail_out > 0
                return capacity - Int(inflater.pointee.avail_out)
            }
            wire = wire.dropping(wire.count - Int(inflater.pointee.avail_in))
            switch status {
            case Z_OK, Z_BUF_ERROR: break
            case Z_STREAM_END: hasEnded = true
            default: throw .deflate(message(of: inflater) ?? "not a deflate stream")
            }
        }
        return !hasEnded && !isDrained
    }

    // MARK: Out

    package func outgoing(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        guard !plain.isEmpty else { return }
        isDirty = true
        lend(plain, to: deflater)
        run(Z_NO_FLUSH, into: wire)
    }

    package func flush(into wire: ByteBuffer) {
        guard isDirty else { return }
        isDirty = false
        lend(UnsafeRawBufferPointer(start: nil, count: 0), to: deflater)
        run(Z_SYNC_FLUSH, into: wire)
    }

    private func run(_ flush: Int32, into wire: ByteBuffer) {
        repeat {
            wire.append(atLeast: Self.leastRoom) { room in
                lend(room, to: deflater)
                let status = deflate(deflater, flush)
                precondition(status != Z_STREAM_ERROR, "a stream that was set up keeps working")
                return room.count - Int(deflater.pointee.avail_out)
            }
        } while deflater.pointee.avail_out == 0
    }

    // MARK: zlib

    private func lend(_ bytes: UnsafeRawBufferPointer, to stream: UnsafeMutablePointer<z_stream>) {
        // SAFETY: zlib only reads what it takes in.
        let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        stream.pointee.next_in = base?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_in = UInt32(bytes.count)
    }

    private func lend(
        _ room: UnsafeMutableRawBufferPointer, to stream: UnsafeMutablePointer<z_stream>
    ) {
        stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(room.count)
    }

    private func message(of stream: UnsafeMutablePointer<z_stream>) -> String? {
        stream.pointee.msg.map { String(cString: $0) }
    }
}
