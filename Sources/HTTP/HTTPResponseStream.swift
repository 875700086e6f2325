import UVLoop

/// Provides the chunks of a streamed response body.
package protocol HTTPResponseSource: AnyObject {
    /// Runs after the response head is sent. After ``nextChunk()`` has returned `nil`, the source
    /// calls ``HTTPResponseStream/resume()`` when it has another chunk.
    func bodyDidStart(_ body: HTTPResponseStream)

    /// Returns the next chunk, or `nil` if there is none yet. The stream requests a chunk only after
    /// the socket buffer has accepted the previous chunks. No chunks are created for a client that
    /// does not read.
    func nextChunk() -> HTTPChunk?

    /// Runs when the client has disconnected or the server stops. No other call follows.
    func bodyDidEnd()
}

/// Sends a response body of unknown length to one client.
///
/// The stream requests chunks from its source. A connection has at most one pending write, and all
/// connections can share the memory of one chunk.
package final class HTTPResponseStream: IterationEndHandler {
    private let source: any HTTPResponseSource
    private let isChunked: Bool
    private let onEnd: (UVError?) -> Void
    private var state = State.opening
    private var isResumeScheduled = false
    /// `true` if ``end()`` was called before the head was sent.
    private var endsOnOpen = false
    private var writer: StreamWriter!

    private enum State {
        /// The head is being sent.
        case opening
        case open
        /// ``end()`` was called; the source may still have chunks.
        case ending
        /// The last chunk is being sent.
        case finishing
        case ended
    }

    /// The maximum number of bytes in one write; a single chunk may exceed it.
    private static let maxWriteBytes = 64 << 10
    private static let maxWriteChunks = 64

    /// The loop of the connection.
    package var loop: Loop { writer.stream.loop }

    /// - Parameter onEnd: runs once: with `nil` when all bytes are sent after ``end()``, or with
    ///   the error of a broken connection.
    init(
        of source: any HTTPResponseSource, on stream: Stream, isChunked: Bool,
        onEnd: @escaping (UVError?) -> Void
    ) {
        self.source = source
        self.isChunked = isChunked
        self.onEnd = onEnd
        writer = StreamWriter(stream) { [weak self] error in self?.didDrain(error) }
    }

    /// Starts to send the body, after the head is sent.
    func open() {
        guard state == .opening else { return }
        state = .open
        source.bodyDidStart(self)
        if endsOnOpen { end() } else { send() }
    }

    /// Sends further chunks at the end of this loop iteration.
    package func resume() {
        guard state == .open, !writer.isBlocked, !isResumeScheduled else { return }
        isResumeScheduled = true
        loop.callAtIterationEnd(self)
    }

    /// Sends the chunks that ``resume()`` has scheduled.
    package func handleIterationEnd() {
        isResumeScheduled = false
        send()
    }

    /// Sends the remaining chunks of the source, and ends the body.
    func end() {
        endsOnOpen = true
        guard state == .open else { return }
        state = .ending
        send()
    }

    /// Ends the body, because the connection is closed.
    func cancel() {
        guard state != .ended else { return }
        state = .ended
        source.bodyDidEnd()
    }

    // MARK: Sending

    private func send() {
        while !writer.isBlocked, state == .open || state == .ending {
            let chunks = takeChunksOfOneWrite()
            guard !chunks.isEmpty else { break }
            write(chunks.map { IOSlice(isChunked ? $0.framed : $0.bytes) }, owner: chunks)
        }
        guard state == .ending, !writer.isBlocked else { return }
        state = .finishing
        if isChunked { write([IOSlice(Self.lastChunk)], owner: self) }
        if state == .finishing, !writer.isBlocked { finish(nil) }
    }

    private func takeChunksOfOneWrite() -> [HTTPChunk] {
        var chunks: [HTTPChunk] = []
        var byteCount = 0
        while chunks.count < Self.maxWriteChunks, byteCount < Self.maxWriteBytes,
            let chunk = source.nextChunk()
        {
            chunks.append(chunk)
            byteCount += chunk.count
        }
        return chunks
    }

    private func write(_ slices: [IOSlice], owner: Any) {
        if case .failed(let error) = writer.write(slices, owner: owner) { finish(error) }
    }

    private func didDrain(_ error: UVError?) {
        if let error {
            finish(error)
        } else if state == .finishing {
            finish(nil)
        } else {
            send()
        }
    }

    private func finish(_ error: UVError?) {
        guard state != .ended else { return }
        cancel()
        onEnd(error)
    }

    /// The chunk of length zero that ends a body, without trailers.
    // SAFETY: the memory of a string literal is never deallocated, and libuv only reads it.
    private static var lastChunk: UnsafeRawBufferPointer {
        let text: StaticString = "0\r\n\r\n"
        return UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }
}
