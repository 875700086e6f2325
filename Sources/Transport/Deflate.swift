import CZlib

/// Raw deflate compression (RFC 1951, without a zlib header), with one stream in each direction.
/// Each flush is a sync flush, after which the peer can decompress all bytes sent so far.
package final class Deflate: TransportLayer {
    package private(set) var hasEnded = false

    // A zlib stream must not move, because it contains pointers to itself.
    private let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let deflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    /// `true` if bytes were encoded since the last flush.
    private var needsFlush = false

    /// Creates both streams.
    ///
    /// - Parameter level: the compression level of sent bytes, from 1 (fastest) to 9 (smallest
    ///   output).
    package init(level: Int) {
        precondition((1...9).contains(level), "zlib has the levels 1 to 9")
        let size = Int32(MemoryLayout<z_stream>.size)
        inflater.initialize(to: z_stream())
        deflater.initialize(to: z_stream())
        // A negative window size selects raw deflate.
        let inflating = inflateInit2_(inflater, -MAX_WBITS, ZLIB_VERSION, size)
        let deflating = deflateInit2_(
            deflater, Int32(level), Z_DEFLATED, -MAX_WBITS, Self.memoryLevel, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, size)
        precondition(
            inflating == Z_OK && deflating == Z_OK, "zlib can allocate memory for a stream")
    }

    deinit {
        inflateEnd(inflater)
        deflateEnd(deflater)
        inflater.deallocate()
        deflater.deallocate()
    }

    /// The `memLevel` of zlib's compressor: zlib's default, which allocates 256 KB per connection.
    private static let memoryLevel: Int32 = 8
    private static let minOutputBytes = 4096

    // MARK: Receiving

    package func decode(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int
    ) throws(TransportError) -> Bool {
        let end = plain.count + limit
        var status = Z_OK
        var isDrained = false
        while !hasEnded, !isDrained, plain.count < end {
            setInput(wire, of: inflater)
            let wanted = min(max(wire.count, Self.minOutputBytes), end - plain.count)
            plain.append(atLeast: wanted) { memory in
                let capacity = min(memory.count, end - plain.count)
                setOutput(
                    UnsafeMutableRawBufferPointer(rebasing: memory[..<capacity]), of: inflater)
                status = inflate(inflater, Z_SYNC_FLUSH)
                // If zlib did not fill the memory, zlib has no more output.
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

    // MARK: Sending

    package func encode(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        guard !plain.isEmpty else { return }
        needsFlush = true
        setInput(plain, of: deflater)
        compress(Z_NO_FLUSH, into: wire)
    }

    package func flush(into wire: ByteBuffer) {
        guard needsFlush else { return }
        needsFlush = false
        setInput(UnsafeRawBufferPointer(start: nil, count: 0), of: deflater)
        compress(Z_SYNC_FLUSH, into: wire)
    }

    private func compress(_ flush: Int32, into wire: ByteBuffer) {
        repeat {
            wire.append(atLeast: Self.minOutputBytes) { memory in
                setOutput(memory, of: deflater)
                let status = deflate(deflater, flush)
                precondition(status != Z_STREAM_ERROR, "an initialized zlib stream stays valid")
                return memory.count - Int(deflater.pointee.avail_out)
            }
        } while deflater.pointee.avail_out == 0
    }

    // MARK: zlib

    private func setInput(
        _ bytes: UnsafeRawBufferPointer, of stream: UnsafeMutablePointer<z_stream>
    ) {
        // SAFETY: zlib only reads its input.
        let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        stream.pointee.next_in = base?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_in = UInt32(bytes.count)
    }

    private func setOutput(
        _ memory: UnsafeMutableRawBufferPointer, of stream: UnsafeMutablePointer<z_stream>
    ) {
        stream.pointee.next_out = memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(memory.count)
    }

    private func message(of stream: UnsafeMutablePointer<z_stream>) -> String? {
        stream.pointee.msg.map { String(cString: $0) }
    }
}
