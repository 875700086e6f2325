import BrokerCore
import UVLoop

/// One client's connection: bytes in to the core, its outbox out.
final class TCPConnection: StreamReader {
    let session: Session
    unowned let server: BrokerServer
    let stream: Stream
    private var input = InputBuffer()

    /// What IDENTIFY has laid between the client and the core; most connections have nothing there,
    /// and take the short way.
    var layers: ConnectionLayers?

    /// What the kernel did not take at once, while libuv waits for it to.
    var isSending = false
    /// Nothing is read until it has taken its answers.
    private var isHeldUp = false
    private(set) var phase = Phase.open
    private var lingering: Timer?

    enum Phase {
        case open
        /// Nothing is taken from the client any more, but it may still be reading.
        case ending
        case closed
    }

    /// How long a client that we hang up on has to read why, and one that has gone is still heard.
    ///
    /// A socket that is closed with unread bytes in it is reset, and the reset can overtake the
    /// error frame: so we end our half, and drop what comes until the client ends the other.
    private static let lingerTime = Duration.seconds(1)

    init(_ stream: Stream, _ session: Session, of server: BrokerServer) {
        self.stream = stream
        self.session = session
        self.server = server
    }

    func start() {
        stream.reader = self
        stream.startReading()
    }

    // MARK: In

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        // What goes through layers is kept there.
        if layers != nil { return server.readBuffer }
        return input.room(in: server.readBuffer, needed: session.neededBytes)
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard phase == .open else { return }
        if let layers { return layers.receive(bytes) }
        input.take(bytes, needed: session.neededBytes) { all in
            server.broker.receive(all, from: session, at: server.now)
        }
        seeToWhatIsWanted()
    }

    /// What came may have been as much as there is to be for now.
    private func seeToWhatIsWanted() {
        if session.pendingUpgrade != nil { return upgrade() }
        if session.question != nil { return awaitAnswer() }
        if session.isCongested(limit: server.broker.options.maxUnsentBytes) {
            isHeldUp = true
            stream.stopReading()
        }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        guard phase == .open, error == nil else { return close() }
        inputEnded()
    }

    /// A client may have sent its last command and still be reading the answers.
    func inputEnded() {
        let rest = layers?.takeRest() ?? input.takeAll()
        rest.withUnsafeBytes { server.broker.endInput($0, from: session, at: server.now) }
        end()
    }

    // MARK: Out

    /// Sends what the outbox holds: at once as much as the kernel takes, the rest as it can.
    func flush() {
        guard phase != .closed else { return }
        guard !isSending else { return endIfOver() }
        if let layers { return layers.flush() }
        while !session.outbox.isEmpty {
            guard sendSome() else { return endIfOver() }
        }
        if session.isEnded, !session.awaitsAnswers { return hangUp() }
        server.broker.hasRoomAgain(session)
        guard isHeldUp else { return }
        isHeldUp = false
        stream.startReading()
    }

    /// A client that is to be hung up on and does not take what is left for it is not waited for.
    func endIfOver() {
        guard session.isEnded, !session.awaitsAnswers, phase == .open else { return }
        leaveBroker()
        closeSoon()
    }

    /// - Returns: whether the kernel took all it was offered, or never will.
    private func sendSome() -> Bool {
        withUnsafeTemporaryAllocation(of: IOSlice.self, capacity: 64) { slices in
            let count = session.outbox.fill(slices) { IOSlice(base: $0, count: $1) }
            let offered = UnsafeBufferPointer(rebasing: slices[..<count])
            let total = offered.reduce(0) { $0 + $1.count }
            switch stream.tryWrite(offered) {
            case .failed:
                clientIsGone()
                session.outbox.consume(total)
                return true
            case .wrote(let sent):
                session.outbox.consume(sent)
                guard sent < total else { return true }
                queueRest()
                return false
            }
        }
    }

    /// Leaves the rest to libuv. It stays where it is until libuv is done with it; meanwhile the
    /// session gathers in a new outbox, and is given no more than a bound.
    private func queueRest() {
        let rest = session.outbox.takeAll()
        isSending = true
        session.sending(rest.byteCount, at: server.loop.nowNanoseconds)
        withUnsafeTemporaryAllocation(of: IOSlice.self, capacity: rest.pieceCount) { slices in
            let count = rest.fill(slices) { IOSlice(base: $0, count: $1) }
            stream.write(UnsafeBufferPointer(rebasing: slices[..<count])) { [weak self] error in
                // Held until here, whatever became of the connection.
                withExtendedLifetime(rest) { self?.restIsSent(error) }
            }
        }
    }

    func restIsSent(_ error: UVError?) {
        isSending = false
        session.sending(0, at: server.loop.nowNanoseconds)
        if error != nil { clientIsGone() }
        flush()
    }

    /// A write has failed: the client reads nothing any more, and what is for it is dropped. But a
    /// FIN that it sent before it went may still lie unread in the socket, and counts: so the
    /// reading goes on to its own end, which is near.
    func clientIsGone() {
        guard phase == .open else { return close() }
        session.isUnreachable = true
        closeSoon()
    }

    // MARK: Layers

    /// From now on all goes through layers: what comes behind the IDENTIFY that asked for them, and
    /// what is said after the answer to it.
    private func upgrade() {
        let layers = ConnectionLayers(of: self)
        self.layers = layers
        input.takeAll().withUnsafeBytes { layers.receive($0) }
    }

    // MARK: Authorization

    /// Reads nothing more until it is known what the client may do.
    func awaitAnswer() {
        guard let question = session.question else { return }
        stream.stopReading()
        server.authorizer.ask(question) { [weak self] answer in self?.goOn(with: answer) }
    }

    private func goOn(with answer: Authorization?) {
        guard phase == .open else { return }
        server.broker.hasAnswer(answer, for: session, at: server.now)
        if let layers { return layers.goOn() }
        stream.startReading()
        input.takeAgain { server.broker.receive($0, from: session, at: server.now) }
        seeToWhatIsWanted()
    }

    // MARK: The end

    /// Takes nothing from the client any more; closes once what is to be sent is sent, or soon.
    func end() {
        guard phase == .open else { return }
        leaveBroker()
        closeSoon()
        flush()
    }

    /// Hangs up on a client that did something wrong.
    func hangUp() {
        guard phase == .open else { return close() }
        leaveBroker()
        closeSoon()
        stream.shutdown()
        stream.startReading()
    }

    private func leaveBroker() {
        server.broker.disconnect(session, at: server.now)
        phase = .ending
        input.clear()
    }

    private func closeSoon() {
        guard lingering == nil else { return }
        let timer = Timer(on: server.loop)
        lingering = timer
        timer.start(after: Self.lingerTime) { [weak self] in self?.close() }
    }

    func close() {
        guard phase != .closed else { return }
        if phase == .open { leaveBroker() }
        phase = .closed
        layers?.close()
        lingering?.close()
        stream.close { [server, session] in server.connectionClosed(session) }
    }
}
