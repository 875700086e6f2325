import CZlib

/// Compresses bytes as consecutive gzip members (RFC 1952). Programs such as `gunzip` decompress
/// all members as one stream.
final class GzipEncoder {
    // A zlib stream must not move, because it contains pointers to itself.
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    /// `true` if the current member contains bytes.
    private(set) var hasOpenMember = false

    /// Creates an encoder.
    ///
    /// - Parameter level: 1 (fastest) to 9 (smallest output).
    init(level: Int) {
        precondition((1...9).contains(level), "zlib has the levels 1 to 9")
        stream.initialize(to: z_stream())
        // A window size above 16 selects the format of gzip.
        let status = deflateInit2_(
            stream, Int32(level), Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib can allocate memory for a stream")
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Compresses bytes. zlib holds back a part of the output until later calls.
    ///
    /// - Parameter output: the array to which the compressed bytes are appended.
    func append(_ bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        hasOpenMember = true
        // SAFETY: zlib only reads the input, during the calls below.
        stream.pointee.next_in = UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
            .assumingMemoryBound(to: UInt8.self)
        // A message has less than 2 GiB, because its frame has a size of 31 bits.
        stream.pointee.avail_in = UInt32(bytes.count)
        run(Z_NO_FLUSH, &output)
    }

    /// Ends the current member, so that all bytes so far can be decompressed. The next byte begins
    /// a new member.
    func endMember(_ output: inout [UInt8]) {
        guard hasOpenMember else { return }
        run(Z_FINISH, &output)
        deflateReset(stream)
        hasOpenMember = false
    }

    private func run(_ flush: Int32, _ output: inout [UInt8]) {
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { memory in
            repeat {
                stream.pointee.next_out = memory.baseAddress!.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_out = UInt32(memory.count)
                _ = deflate(stream, flush)
                output += memory[..<(memory.count - Int(stream.pointee.avail_out))]
                // If zlib did not fill the memory, it has no more output.
            } while stream.pointee.avail_out == 0
        }
    }
}
