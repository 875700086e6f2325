import UVLoop

/// Where the pieces of an answer come from that is sent as it comes about.
package protocol HTTPBodySource: AnyObject {
    /// The client can be sent to: `body` is to be told whenever there is more after a `nil`.
    func bodyStarts(_ body: HTTPBodyStream)

    /// What comes next; `nil` if there is nothing for now. Asked only when the client has taken
    /// what came before, so a client that does not read costs a source nothing.
    func nextPiece() -> HTTPPiece?

    /// The client is gone, or the server stops: nothing is asked for any more.
    func bodyEnded()
}

/// An answer without an end of its own, on its way to one client.
///
/// It is pulled, not pushed: what the client has not taken yet stays with the source, and the
/// connection holds one write at most, of pieces it shares with all others.
package final class HTTPBodyStream: EndOfTurnParticipant {
    private let stream: Stream
    private let source: any HTTPBodySource
    private let isChunked: Bool
    private let whenEnded: (UVError?) -> Void
    private var phase = Phase.opening
    private var isWriting = false
    private var isInTurn = false
    private var isToEnd = false

    private enum Phase {
        /// The head is not sent yet.
        case opening
        case open
        /// The end is to be written.
        case ending
        case ended
    }

    /// The most that one write gathers: the pieces that make it up to this, and at least one.
    private static let writeBytes = 64 << 10
    private static let writePieces = 64

    package var loop: Loop { stream.loop }

    /// - Parameter whenEnded: called once: all is sent and the end was asked for, or the connection
    ///   broke.
    init(
        of source: any HTTPBodySource, on stream: Stream, isChunked: Bool,
        whenEnded: @escaping (UVError?) -> Void
    ) {
        self.source = source
        self.stream = stream
        self.isChunked = isChunked
        self.whenEnded = whenEnded
    }

    /// The head is with the client.
    func open() {
        guard phase == .opening else { return }
        phase = .open
        source.bodyStarts(self)
        if isToEnd { end() } else { send() }
    }

    /// There is more to send: it goes out when the turn ends.
    package func resume() {
        guard phase == .open, !isWriting, !isInTurn else { return }
        isInTurn = true
        loop.atEndOfTurn(self)
    }

    package func turnEnds() {
        isInTurn = false
        send()
    }

    /// Sends what the source has left, and ends.
    func end() {
        isToEnd = true
        guard phase == .open else { return }
        phase = .ending
        send()
    }

    /// The connection is closed.
    func cancel() {
        guard phase != .ended else { return }
        phase = .ended
        source.bodyEnded()
    }

    // MARK: Sending

    private func send() {
        while !isWriting, phase == .open || phase == .ending {
            let pieces = nextPieces()
            guard !pieces.isEmpty else { break }
            write(pieces)
        }
        if phase == .ending, !isWriting { writeEnd() }
    }

    private func nextPieces() -> [HTTPPiece] {
        var pieces: [HTTPPiece] = []
        var bytes = 0
        while pieces.count < Self.writePieces, bytes < Self.writeBytes,
            let piece = source.nextPiece()
        {
            pieces.append(piece)
            bytes += piece.count
        }
        return pieces
    }

    private func write(_ pieces: [HTTPPiece]) {
        var slices = pieces.map { IOSlice(isChunked ? $0.chunk : $0.bytes) }
        switch slices.withUnsafeBufferPointer({ stream.tryWrite($0) }) {
        case .failed(let error): finish(error)
        case .wrote(let count):
            slices.drop(count)
            guard !slices.isEmpty else { return }
            isWriting = true
            slices.withUnsafeBufferPointer { rest in
                stream.write(rest) { [weak self] error in
                    // The pieces' memory is libuv's until here.
                    withExtendedLifetime(pieces) {}
                    self?.written(error)
                }
            }
        }
    }

    private func written(_ error: UVError?) {
        isWriting = false
        guard phase != .ended else { return }
        if let error { finish(error) } else { send() }
    }

    private func writeEnd() {
        guard isChunked else { return finish(nil) }
        let end = HTTPPiece.end
        let slices = [IOSlice(end)]
        isWriting = true
        slices.withUnsafeBufferPointer { slices in
            stream.write(slices) { [weak self] error in self?.finish(error) }
        }
    }

    private func finish(_ error: UVError?) {
        guard phase != .ended else { return }
        cancel()
        whenEnded(error)
    }
}

extension HTTPPiece {
    /// The last chunk, and no trailers.
    // SAFETY: a literal's memory is there for good, and only read.
    fileprivate static var end: UnsafeRawBufferPointer {
        let text: StaticString = "0\r\n\r\n"
        return UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }
}

extension [IOSlice] {
    /// Takes off what was written of them.
    fileprivate mutating func drop(_ count: Int) {
        var rest = count
        while let first, rest >= first.count {
            rest -= first.count
            removeFirst()
        }
        guard rest > 0, let first else { return }
        self[0] = IOSlice(base: first.base + rest, count: first.count - rest)
    }
}
