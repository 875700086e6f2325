import CLibuv

/// Lends the buffer that libuv reads into, and gets what came.
///
/// Bound to classes, and asked for the buffer instead of being given one, so that a read costs no
/// allocation: many streams can read into one buffer of their thread.
package protocol StreamReader: AnyObject {
    /// The memory to read into; `suggested` is libuv's idea of a good size, 64 KB.
    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer

    /// `bytes` lie at the start of the buffer lent last, and are the reader's until it lends again.
    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer)

    /// The peer has sent its last byte (`error` is nil) or the connection broke. Nothing is read
    /// any more; closing the stream is left to the reader.
    func stream(_ stream: Stream, didEnd error: UVError?)
}

extension Stream {
    package func startReading() {
        guard !isClosing else { return }
        let status = uv_read_start(
            pointer(as: uv_stream_t.self),
            { handle, suggested, buffer in
                let stream = Stream.behind(handle)
                let most = stream.mostToRead()
                // Without a buffer libuv lets it be for this turn.
                guard most > 0, let reader = stream.reader else {
                    return buffer!.pointee = uv_buf_t()
                }
                let memory = reader.readBuffer(for: stream, suggested: suggested)
                precondition(!memory.isEmpty, "a reader always has room")
                buffer!.pointee.base = memory.baseAddress?.assumingMemoryBound(to: CChar.self)
                buffer!.pointee.len = min(memory.count, most)
            },
            { handle, count, buffer in
                let stream = Stream.behind(handle)
                guard let reader = stream.reader else { return }
                if count > 0 {
                    stream.lastRead.bytes += count
                    stream.loop.hasNews()
                    let bytes = UnsafeRawBufferPointer(start: buffer!.pointee.base, count: count)
                    reader.stream(stream, didRead: bytes)
                } else if count < 0, count != Int(UV_ENOBUFS.rawValue) {
                    // Zero is “try again”, no buffer “next turn”: none of the reader's business.
                    let isEnd = count == Int(UV_EOF.rawValue)
                    reader.stream(stream, didEnd: isEnd ? nil : UVError(code: Int32(count)))
                }
            })
        // EALREADY: it reads already. ENOTCONN: not connected; the connect callback tells.
        precondition(
            status == 0 || status == UV_EALREADY.rawValue || status == UV_ENOTCONN.rawValue,
            "uv_read_start refuses only a stream that is closing")
    }

    /// How many bytes it may read now, of its share of the turn.
    private func mostToRead() -> Int {
        if lastRead.turn != loop.turn {
            lastRead = (loop.turn, 0)
            loop.reading.join(in: loop.turn)
        }
        return loop.reading.share - lastRead.bytes
    }

    package func stopReading() {
        guard !isClosing else { return }
        uv_read_stop(pointer(as: uv_stream_t.self))
    }
}
