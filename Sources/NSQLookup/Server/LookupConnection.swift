import NSQWire
import TallyBasics
import UVLoop

/// One connection of an nsqd. It passes received bytes to its ``LookupSession``, and sends the
/// session's responses.
final class LookupConnection: StreamReader {
    let id: PeerID

    private var session: LookupSession
    private unowned let server: LookupTCPServer
    private let stream: Stream
    private lazy var writer = StreamWriter(stream) { [weak self] in self?.didDrain($0) }
    private lazy var lingeringClose = LingeringClose(stream) { [weak self] in self?.close() }
    private var state = State.reading
    private let connectedAt: Int64
    private var lastInputAt: Int64

    private enum State {
        case reading
        /// Reading is paused until all pending responses are sent.
        case congested
        /// The session has ended. Pending bytes are still sent, and received bytes are discarded.
        case closing
        case closed
    }

    init(_ stream: Stream, _ session: LookupSession, of server: LookupTCPServer) {
        self.stream = stream
        id = session.id
        self.session = session
        self.server = server
        connectedAt = server.now.monotonic
        lastInputAt = connectedAt
    }

    func start() {
        stream.reader = self
        stream.startReading()
    }

    // MARK: Input

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        server.readBuffer
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard case .reading = state else { return }
        lastInputAt = server.now.monotonic
        apply(server.receive(bytes, from: &session))
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        switch state {
        case .reading, .congested:
            guard error == nil else { return close() }
            apply(session.endInput())
        case .closing: close()
        case .closed: break
        }
    }

    private func apply(_ output: LookupSession.Output) {
        server.log(output.log)
        writer.buffer += output.bytes
        if output.closes { state = .closing }
        flush()
    }

    // MARK: Output

    private func flush() {
        switch writer.flush() {
        case .written: didSendAll()
        case .queued:
            if case .reading = state { state = .congested }
            // The client may not read its last responses, so the close has a timeout.
            if case .closing = state { lingeringClose.startTimeout() }
            stream.stopReading()
        case .failed: close()
        }
    }

    private func didDrain(_ error: UVError?) {
        guard error == nil else { return close() }
        flush()
    }

    private func didSendAll() {
        switch state {
        case .reading, .closed: break
        case .congested:
            state = .reading
            stream.startReading()
        case .closing: lingeringClose.begin()
        }
    }

    // MARK: Closing

    /// Closes the connection if the client has not identified itself in time, or if no byte has
    /// arrived for too long.
    func closeIfSilent(at now: Int64, _ options: LookupServerOptions) {
        let (start, timeout) =
            session.isIdentified
            ? (lastInputAt, options.silenceTimeout)
            : (connectedAt, LookupServerOptions.identificationTimeout)
        if now - start >= timeout.nanoseconds { close() }
    }

    /// Closes the connection at once, and removes its registrations.
    func close() {
        if case .closed = state { return }
        state = .closed
        lingeringClose.cancel()
        server.connectionClosed(self, &session)
        stream.close()
    }
}
