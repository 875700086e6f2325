import BrokerCore
import TallyBasics
import UVLoop

/// One client's TCP connection: it passes received bytes to the broker and writes the session's
/// outbox to the socket.
///
/// The state decides whether the connection reads. Only the methods in "Transitions" and "Closing"
/// change it.
final class TCPConnection: StreamReader {
    let session: Session

    private unowned let server: TCPServer
    private let stream: Stream
    private var state = State.reading
    private var input: InputBuffer
    /// The connection after its upgrade; `nil` if the client did not negotiate TLS or compression.
    private var upgraded: UpgradedTransport?
    private lazy var writer = StreamWriter(stream) { [weak self] in self?.didDrain($0) }
    /// Delays frames for a test; `nil` outside of tests.
    private lazy var delayedFrames = server.faults.map { faults in
        DelayedFrames(faults, of: session, on: server.loop) { [weak self] in self?.flush() }
    }
    private lazy var lingeringClose = LingeringClose(stream) { [weak self] in self?.close() }

    /// The states of a connection. The session is open in all states except `closing` and `closed`.
    private enum State {
        /// The connection reads commands from the client.
        case reading
        /// Reading is paused until the client has read its responses.
        case congested
        /// Reading is paused until an authorization server has responded.
        case authorizing
        /// Reading is paused until the TLS handshake is continued, in this or a later iteration.
        case handshaking
        /// The client has ended its input. Its session is ended in this or a later iteration.
        case inputEnded
        /// Reading is paused because the quota or the work budget of this loop iteration is used up.
        /// The next iteration processes the bytes that are already received.
        case quotaExceeded
        /// The session has ended. Pending bytes are still sent, and received bytes are discarded.
        case closing
        case closed
    }

    init(_ stream: Stream, _ session: Session, of server: TCPServer) {
        self.stream = stream
        self.session = session
        self.server = server
        input = InputBuffer(server.broker.memoryAccount)
    }

    private var broker: Broker { server.broker }

    private var isOpen: Bool {
        switch state {
        case .reading, .congested, .authorizing, .handshaking, .inputEnded, .quotaExceeded: true
        case .closing, .closed: false
        }
    }

    // MARK: Reading

    /// Starts to read from the client.
    func start() {
        stream.reader = self
        stream.startReading()
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        // The upgraded transport stores incomplete commands in buffers of its own.
        if upgraded != nil { return server.readBuffer }
        broker.refuseIfMemoryIsFull(
            input.bytes, neededBytes: session.neededBytes, from: session, at: server.now)
        if session.isEnded {
            input.clear()
            return server.readBuffer
        }
        return input.readBuffer(sharing: server.readBuffer, neededBytes: session.neededBytes)
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard isOpen else { return }
        if let upgraded { return apply(upgraded.receive(bytes)) }
        guard !session.isEnded else { return }
        input.append(bytes, neededBytes: session.neededBytes) { all in
            server.receive(all, from: session)
        }
        pauseIfNeeded()
    }

    private func pauseIfNeeded() {
        if session.pendingUpgrade != nil { return installUpgrade() }
        if session.authorizationRequest != nil { return requestAuthorization() }
        if isCongested { return pause(.congested) }
        if session.hasPostponedInput { continueInNextIteration() }
    }

    private var isCongested: Bool {
        session.isCongested(limit: broker.options.maxUnsentBytes)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        guard isOpen else { return close() }
        state = .inputEnded
        // Ending a session requeues its messages in flight. If many clients disconnect at the same
        // time, the queue distributes this work over several iterations.
        session.markUnreachable()
        server.disconnects.submit { [weak self] in
            guard let self, state == .inputEnded else { return }
            error == nil ? endInput() : close()
        }
    }

    /// Handles the end of the client's input: passes an incomplete last command to the broker. The
    /// client may still read responses.
    private func endInput() {
        let rest = upgraded?.removeIncompleteCommand() ?? input.removeAll()
        rest.withUnsafeBytes { broker.endInput($0, from: session, at: server.now) }
        end()
    }

    /// Installs the upgrade that IDENTIFY has negotiated. The upgrade decodes the bytes received
    /// after IDENTIFY, and encodes the bytes sent after the response to IDENTIFY.
    private func installUpgrade() {
        let upgraded = UpgradedTransport(of: self, in: server, writingTo: writer)
        self.upgraded = upgraded
        apply(input.removeAll().withUnsafeBytes { upgraded.receive($0) })
    }

    private func apply(_ result: UpgradedTransport.InputResult) {
        switch result {
        case .needsInput: resumeReading()
        case .congested: pause(.congested)
        case .quotaExceeded: continueInNextIteration()
        case .needsHandshake: requestHandshake()
        case .needsAuthorization: requestAuthorization()
        case .ended:
            resumeReading()
            endInput()
        case .sessionEnded: break
        }
    }

    // MARK: Transitions of an open connection

    private func pause(_ reason: State) {
        state = reason
        stream.stopReading()
    }

    private func resumeReading() {
        state = .reading
        stream.startReading()
    }

    private func continueInNextIteration() {
        pause(.quotaExceeded)
        server.loop.runInNextIteration { [weak self] in
            guard let self, state == .quotaExceeded else { return }
            processReceived()
        }
    }

    /// Processes the bytes that were received before a pause.
    private func processReceived() {
        if let upgraded { return apply(upgraded.processReceived()) }
        resumeReading()
        input.processAgain { server.receive($0, from: session) }
        pauseIfNeeded()
    }

    private func requestHandshake() {
        pause(.handshaking)
        server.handshakeQueue.submit { [weak self] in
            guard let self, state == .handshaking, let upgraded else { return }
            apply(upgraded.continueHandshake())
        }
    }

    private func requestAuthorization() {
        guard let request = session.authorizationRequest else { return }
        pause(.authorizing)
        server.authorizer.authorize(request) { [weak self] in self?.completeAuthorization($0) }
    }

    private func completeAuthorization(_ authorization: Authorization?) {
        guard isOpen else { return }
        broker.completeAuthorization(authorization, for: session, at: server.now)
        processReceived()
    }

    private func resumeAfterCongestion() {
        guard state == .congested, !isCongested else { return }
        // Layers may have stored commands that arrived before the pause.
        if upgraded != nil || session.hasPostponedInput {
            continueInNextIteration()
        } else {
            resumeReading()
        }
    }

    // MARK: Writing

    /// Writes as many bytes of the outbox as the socket buffer accepts. The rest is written when
    /// the socket buffer has space again.
    func flush() {
        guard state != .closed else { return }
        guard !writer.isBlocked else { return endIfSessionEnded() }
        if upgraded?.hasPendingOutput != true { delayedFrames?.update() }
        if let upgraded { return apply(upgraded.flush()) }
        while !session.outbox.isEmpty {
            guard writeOutbox() else { return endIfSessionEnded() }
        }
        if session.isEnded, !session.hasPendingResponses { return shutDown() }
        broker.resumeDelivery(to: session)
        resumeAfterCongestion()
    }

    private func apply(_ result: UpgradedTransport.FlushResult) {
        switch result {
        case .blocked: endIfSessionEnded()
        case .ended: shutDown()
        case .scheduled: break
        case .hasMore:
            server.loop.runInNextIteration { [weak self] in
                self?.upgraded?.beginNextFlush()
                self?.flush()
            }
        case .written:
            // Frames can become due while the upgraded transport has pending output.
            if delayedFrames?.isDue == true { return flush() }
            broker.resumeDelivery(to: session)
            resumeAfterCongestion()
        }
    }

    /// If the session has ended, starts the close timeout, so that a client that does not read the
    /// last bytes cannot keep the connection open.
    private func endIfSessionEnded() {
        guard session.isEnded, !session.hasPendingResponses, isOpen else { return }
        disconnectSession()
        lingeringClose.startTimeout()
    }

    /// Writes the outbox.
    ///
    /// - Returns: `true` if the socket buffer accepted all bytes, or if the connection is broken.
    private func writeOutbox() -> Bool {
        withUnsafeTemporaryAllocation(of: IOSlice.self, capacity: 64) { slices in
            let count = session.outbox.fill(slices) { IOSlice(base: $0, count: $1) }
            let offered = UnsafeBufferPointer(rebasing: slices[..<count])
            let total = offered.reduce(0) { $0 + $1.count }
            switch writer.tryWrite(offered) {
            case .failed:
                didFailWrite()
                session.outbox.consume(total)
                return true
            case .wrote(let sent):
                session.outbox.consume(sent)
                guard sent < total else { return true }
                queueOutbox()
                return false
            }
        }
    }

    /// Passes the remaining outbox to libuv without a copy. Until libuv has written it, the session
    /// collects a bounded number of bytes in a new outbox.
    private func queueOutbox() {
        let rest = session.outbox.detach()
        session.updateUnsentBytes(rest.byteCount, at: server.loop.nowNanoseconds)
        withUnsafeTemporaryAllocation(of: IOSlice.self, capacity: rest.pieceCount) { slices in
            let count = rest.fill(slices) { IOSlice(base: $0, count: $1) }
            writer.queue(UnsafeBufferPointer(rebasing: slices[..<count]), owner: rest)
        }
    }

    private func didDrain(_ error: UVError?) {
        session.updateUnsentBytes(0, at: server.loop.nowNanoseconds)
        if error != nil { didFailWrite() }
        flush()
    }

    /// Handles a failed write. The unsent output is discarded, and no further messages are delivered
    /// to the client.
    ///
    /// The socket may still contain a FIN that the client sent before it disconnected, and the broker
    /// must process it. The connection therefore continues to read until the end of the input or the
    /// close timeout.
    func didFailWrite() {
        guard isOpen else { return close() }
        session.markUnreachable()
        lingeringClose.startTimeout()
    }

    // MARK: Closing

    /// Reads no more commands, writes the pending bytes, and closes the connection when the client
    /// has read these bytes or the close timeout has expired.
    func end() {
        guard isOpen else { return }
        disconnectSession()
        lingeringClose.startTimeout()
        flush()
    }

    /// Closes the connection after all bytes are written, for example after a fatal error.
    private func shutDown() {
        guard isOpen else { return close() }
        disconnectSession()
        lingeringClose.begin()
    }

    private func disconnectSession() {
        broker.disconnect(session, at: server.now)
        state = .closing
        input.clear()
    }

    /// Closes the socket at once.
    func close() {
        guard state != .closed else { return }
        if isOpen { disconnectSession() }
        state = .closed
        upgraded?.close()
        lingeringClose.cancel()
        delayedFrames?.close()
        stream.close { [server, session] in server.connectionClosed(session) }
    }
}
