import BrokerCore
import Logging
import Transport
import UVLoop

/// What lies between a client's bytes and the core once IDENTIFY has settled it: TLS, compression,
/// or both.
///
/// The answer to IDENTIFY goes out as it is. Then each layer is laid in turn, and followed by an
/// `OK` that goes through it.
final class ConnectionLayers {
    private unowned let connection: TCPConnection
    private let stream: LayeredStream
    /// Ends a handshake that takes too long.
    private let timer: Timer
    /// What was to be sent when it was more than a turn sends. It is not added to.
    private var rest = Outbox()
    /// More is taken, or sent, in the next turn and not before.
    private var isGoingOnLater = false
    private var isFlushingLater = false
    /// Nothing is taken from the client until it has taken its answers.
    private var isHeldUp = false

    /// How much is handed to the core at a time, and at most in one turn of the loop. A few bytes of
    /// a compressed stream can stand for megabytes: others are not to wait for them all.
    private static let portionBytes = 64 << 10
    private static let bytesTakenPerTurn = 1 << 20

    /// How much goes through the layers to the client in a turn: deflate takes a millisecond for it.
    private static let bytesSentPerTurn = 64 << 10

    /// nsqd's.
    private static let handshakeTime = Duration.seconds(5)

    private var session: Session { connection.session }
    private var server: BrokerServer { connection.server }

    init(of connection: TCPConnection) {
        self.connection = connection
        let wantsTLS = connection.session.pendingUpgrade?.tls == true
        stream = LayeredStream(
            tls: wantsTLS ? connection.server.tls.map { TLSSession($0) } : nil)
        timer = Timer(on: connection.server.loop)
        session.outbox.drain { stream.wire.append($0) }
        guard wantsTLS else { return }
        timer.start(after: Self.handshakeTime) { [weak connection] in
            guard let connection else { return }
            connection.server.logger.error(
                "[\(connection.session.address)] - TLS: no handshake in \(Self.handshakeTime)")
            connection.close()
        }
    }

    func close() { timer.close() }

    // MARK: In

    /// Takes what came from the socket.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard !session.isEnded else { return }
        do throws(TransportError) {
            try stream.receive(bytes)
            try handOn()
        } catch {
            breakOff(error)
        }
    }

    /// Takes up what was left on an earlier turn.
    func goOn() {
        guard !session.isEnded else { return }
        do throws(TransportError) {
            try handOn()
        } catch {
            breakOff(error)
        }
    }

    /// Hands to the core what has come out of the layers, as much as a turn takes.
    private func handOn() throws(TransportError) {
        server.takingShare.join(in: server.loop.turn)
        var left = min(Self.bytesTakenPerTurn, server.takingShare.share)
        var hasMore = true
        while hasMore {
            guard !session.isCongested(limit: server.broker.options.maxUnsentBytes) else {
                isHeldUp = true
                return connection.stream.stopReading()
            }
            guard left > 0 else { return goOnLater() }
            guard layWhatIsDue() else { break }
            let before = stream.plain.count
            hasMore = try stream.advance(limit: Self.portionBytes)
            left -= stream.plain.count - before
            take()
            if session.question != nil { return connection.awaitAnswer() }
            hasMore = hasMore || session.pendingUpgrade != nil
            guard !session.isEnded else { return }
        }
        connection.stream.startReading()
        if stream.hasEnded { connection.inputEnded() }
    }

    private func take() {
        let plain = stream.plain
        guard !plain.isEmpty, plain.count >= session.neededBytes else { return }
        plain.consume(server.broker.receive(plain.bytes, from: session, at: server.now))
    }

    /// What has come out and makes no whole command.
    func takeRest() -> [UInt8] {
        defer { stream.plain.clear() }
        return Array(stream.plain.bytes)
    }

    /// Leaves the rest for the next turn, and the socket alone until then.
    private func goOnLater() {
        connection.stream.stopReading()
        guard !isGoingOnLater else { return }
        isGoingOnLater = true
        server.loop.inNextTurn { [weak connection] in
            guard let connection, connection.phase == .open else { return }
            connection.layers?.isGoingOnLater = false
            connection.layers?.goOn()
        }
    }

    // MARK: Laying

    /// Lays what is settled and possible, lowest first.
    ///
    /// - Returns: `false` while the handshake is under way: nothing plain comes before it is done.
    private func layWhatIsDue() -> Bool {
        guard let upgrade = session.pendingUpgrade else { return true }
        if upgrade.tls {
            guard let tls = stream.tls, tls.isEstablished else {
                sendWire()
                return false
            }
            timer.stop()
            server.broker.hasLaidTLS(TLSSummary(tls), on: session, at: server.now)
        }
        // What was said so far goes through the layers that there are so far.
        drain()
        if let compression = upgrade.compression {
            stream.add(compression.layer)
            server.broker.hasLaidCompression(on: session, at: server.now)
        }
        return true
    }

    /// What came makes no sense. The client is told what its layers have to say of that.
    private func breakOff(_ error: TransportError) {
        server.logger.error("[\(session.address)] - \(error)")
        server.broker.layersBroke(of: session, at: server.now)
    }

    // MARK: Out

    /// Sends a turn's share of what is to be sent, and what the layers have to say of their own.
    func flush() {
        guard !isFlushingLater else { return }
        server.sendingShare.join(in: server.loop.turn)
        drain(atMost: min(Self.bytesSentPerTurn, server.sendingShare.share))
        let hasMore = stream.isEstablished && !(rest.isEmpty && session.outbox.isEmpty)
        let isOver = session.isEnded && !session.awaitsAnswers && !hasMore
        if isOver { stream.finish() }
        guard sendWire() else { return connection.endIfOver() }
        session.sending(rest.byteCount, at: server.loop.nowNanoseconds)
        if isOver { return connection.hangUp() }
        if hasMore { return flushLater() }
        server.broker.hasRoomAgain(session)
        guard isHeldUp else { return }
        isHeldUp = false
        goOnLater()
    }

    private func flushLater() {
        isFlushingLater = true
        server.loop.inNextTurn { [weak connection] in
            connection?.layers?.isFlushingLater = false
            connection?.flush()
        }
    }

    private func drain(atMost limit: Int = .max) {
        guard stream.isEstablished else { return }
        let left = limit - rest.drain(atMost: limit) { stream.send($0) }
        if session.outbox.byteCount <= left {
            session.outbox.drain { stream.send($0) }
        } else if rest.isEmpty {
            rest = session.outbox.takeAll()
            rest.drain(atMost: left) { stream.send($0) }
        }
        stream.flush()
    }

    /// - Returns: whether the kernel took it all, or never will. The rest is left to libuv.
    @discardableResult
    private func sendWire() -> Bool {
        guard !connection.isSending else { return false }
        guard !stream.wire.isEmpty else { return true }
        let outcome = withUnsafePointer(to: IOSlice(stream.wire.bytes)) {
            connection.stream.tryWrite(UnsafeBufferPointer(start: $0, count: 1))
        }
        guard case .wrote(let sent) = outcome else {
            connection.clientIsGone()
            stream.wire.clear()
            return true
        }
        stream.wire.consume(sent)
        guard !stream.wire.isEmpty else { return true }
        queueWire()
        return false
    }

    private func queueWire() {
        let wire = stream.takeWire()
        connection.isSending = true
        session.sending(wire.count + rest.byteCount, at: server.loop.nowNanoseconds)
        withUnsafePointer(to: IOSlice(wire.bytes)) { slice in
            connection.stream.write(UnsafeBufferPointer(start: slice, count: 1)) {
                [weak connection] error in
                // Held until here, whatever became of the connection.
                withExtendedLifetime(wire) { connection?.restIsSent(error) }
            }
        }
    }
}

extension Upgrade.Compression {
    fileprivate var layer: any Layer {
        switch self {
        case .deflate(let level): Deflate(level: level)
        case .snappy: SnappyFrames()
        }
    }
}

extension TLSSummary {
    fileprivate init(_ tls: TLSSession) {
        self.init(
            version: tls.version?.rawValue.uppercased() ?? "", cipherSuite: tls.cipherSuite,
            commonName: tls.peerCommonName)
    }
}
