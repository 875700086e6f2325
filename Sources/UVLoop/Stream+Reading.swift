import CLibuv

/// Provides the memory that libuv reads into, and receives the bytes of a stream.
///
/// The stream requests memory from its reader before each read. A read allocates nothing, because
/// all streams of one thread can share one buffer.
package protocol StreamReader: AnyObject {
    /// Returns the memory for the next read, at least one byte.
    ///
    /// - Parameters:
    ///   - stream: the stream to read from.
    ///   - suggested: the size in bytes that libuv suggests, 65,536.
    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer

    /// Receives bytes from the peer.
    ///
    /// - Parameters:
    ///   - stream: the stream that was read.
    ///   - bytes: the received bytes, at the start of the memory that
    ///     ``readBuffer(for:suggested:)`` returned last; valid until its next call.
    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer)

    /// Runs when the peer has shut down its write side or the connection broke. The stream does not
    /// read again; the reader closes it.
    ///
    /// - Parameters:
    ///   - stream: the stream that has ended.
    ///   - error: `nil` if the peer has shut down its write side.
    func stream(_ stream: Stream, didEnd error: UVError?)
}

extension Stream {
    /// Starts or resumes reading.
    package func startReading() {
        guard !isClosing else { return }
        let status = uv_read_start(
            pointer(as: uv_stream_t.self),
            { handle, suggested, buffer in
                let stream = Stream.object(of: handle)
                let limit = stream.remainingReadQuota()
                // Without a buffer libuv skips the stream in this iteration.
                guard limit > 0, let reader = stream.reader else {
                    return buffer!.pointee = uv_buf_t()
                }
                let memory = reader.readBuffer(for: stream, suggested: suggested)
                precondition(!memory.isEmpty, "a reader always provides memory")
                buffer!.pointee.base = memory.baseAddress?.assumingMemoryBound(to: CChar.self)
                buffer!.pointee.len = min(memory.count, limit)
            },
            { handle, count, buffer in
                let stream = Stream.object(of: handle)
                guard let reader = stream.reader else { return }
                if count > 0 {
                    stream.lastRead.bytes += count
                    stream.loop.recordInput()
                    let bytes = UnsafeRawBufferPointer(start: buffer!.pointee.base, count: count)
                    reader.stream(stream, didRead: bytes)
                } else if count < 0, count != Int(UV_ENOBUFS.rawValue) {
                    // A count of zero is EAGAIN. ENOBUFS follows an empty buffer from the
                    // allocation callback.
                    let isEnd = count == Int(UV_EOF.rawValue)
                    reader.stream(stream, didEnd: isEnd ? nil : UVError(code: Int32(count)))
                }
            })
        // EALREADY: the stream is already reading. ENOTCONN: the connect callback reports the
        // failure.
        precondition(
            status == 0 || status == UV_EALREADY.rawValue || status == UV_ENOTCONN.rawValue,
            "uv_read_start refuses only a stream that is closing")
    }

    /// Returns the number of bytes that the stream may still read in this loop iteration.
    private func remainingReadQuota() -> Int {
        if lastRead.iteration != loop.iteration {
            lastRead = (loop.iteration, 0)
            loop.readQuota.register(in: loop.iteration)
        }
        return loop.readQuota.bytesPerStream - lastRead.bytes
    }

    /// Stops reading until ``startReading()`` is called.
    package func stopReading() {
        guard !isClosing else { return }
        uv_read_stop(pointer(as: uv_stream_t.self))
    }
}
