import BrokerCore
import Logging
import TallyBasics
import Transport
import UVLoop

/// The transport layers that IDENTIFY has negotiated for one connection: TLS, compression, or both.
///
/// The response to IDENTIFY is sent without these layers. Then the layers are installed in order. The
/// broker confirms each layer with an `OK` that this layer encodes.
final class UpgradedTransport {
    private unowned let connection: TCPConnection
    private unowned let server: TCPServer
    private let session: Session
    private let stream: LayeredStream
    private let writer: StreamWriter
    private let handshakeTimer: Timer
    /// Outgoing bytes that exceeded the quota of an earlier iteration. Newer bytes stay in the
    /// session's outbox until these bytes are sent.
    private var remainingOutput = Outbox()
    private var isFlushScheduled = false
    private var memory: AccountedMemory

    /// The result of processing received bytes.
    enum InputResult {
        /// All complete commands are processed.
        case needsInput
        /// The TLS handshake can be continued, with ``continueHandshake()``.
        case needsHandshake
        /// The client must read its responses before more commands are processed.
        case congested
        /// More bytes can be processed in the next iteration.
        case quotaExceeded
        case needsAuthorization
        /// The client has ended its input, for example with a TLS close_notify.
        case ended
        case sessionEnded
    }

    /// The result of a flush.
    enum FlushResult {
        /// The socket buffer has accepted all bytes.
        case written
        /// The socket buffer is full.
        case blocked
        /// More bytes can be sent in the next iteration.
        case hasMore
        /// A flush is scheduled for the next iteration, so this flush did nothing.
        case scheduled
        /// All bytes of an ended session are written.
        case ended
    }

    /// The approximate number of bytes that are decoded before the broker processes their commands.
    private static let decodedBytesPerStep = 64 << 10

    /// The maximum number of decoded bytes of one connection in one iteration. A few compressed bytes
    /// can expand to megabytes, which must not delay other clients.
    private static let maxReceivedBytesPerIteration = 1 << 20

    /// The maximum number of bytes that one connection encodes in one iteration. Deflate encodes
    /// this many bytes in about a millisecond.
    private static let maxSentBytesPerIteration = 64 << 10

    /// The same timeout as in nsqd.
    private static let handshakeTimeout = Duration.seconds(5)

    init(of connection: TCPConnection, in server: TCPServer, writingTo writer: StreamWriter) {
        self.connection = connection
        self.server = server
        self.writer = writer
        session = connection.session
        memory = AccountedMemory(server.broker.memoryAccount, .layers)
        let usesTLS = session.pendingUpgrade?.tls == true
        stream = LayeredStream(tls: usesTLS ? server.tls.map { TLSSession($0) } : nil)
        handshakeTimer = Timer(on: server.loop)
        session.outbox.drain { stream.wire.append($0) }
        guard usesTLS else { return }
        handshakeTimer.start(after: Self.handshakeTimeout) { [weak self] in
            self?.handshakeTimedOut()
        }
    }

    private func handshakeTimedOut() {
        server.logger.error(
            "[\(session.address)] - TLS: no handshake in \(Self.handshakeTimeout)")
        connection.close()
    }

    /// Stops the timer of the handshake.
    func close() { handshakeTimer.close() }

    // MARK: Receiving

    /// Decodes bytes from the socket, and passes the complete commands in them to the broker.
    func receive(_ bytes: UnsafeRawBufferPointer) -> InputResult {
        guard !session.isEnded else { return .sessionEnded }
        defer { updateMemory() }
        do throws(TransportError) {
            try stream.receiveWithoutHandshake(bytes)
            if !stream.isEstablished, !bytes.isEmpty { return .needsHandshake }
            return try processAvailable()
        } catch {
            return fail(error)
        }
    }

    /// Continues the TLS handshake with the received bytes.
    func continueHandshake() -> InputResult {
        guard !session.isEnded else { return .sessionEnded }
        do throws(TransportError) {
            try stream.continueHandshake()
            return try processAvailable()
        } catch {
            return fail(error)
        }
    }

    /// Continues with bytes that were received before a pause.
    func processReceived() -> InputResult {
        guard !session.isEnded else { return .sessionEnded }
        do throws(TransportError) {
            return try processAvailable()
        } catch {
            return fail(error)
        }
    }

    private func processAvailable() throws(TransportError) -> InputResult {
        var quota = server.receiveQuota(limit: Self.maxReceivedBytesPerIteration)
        var hasMore = true
        while hasMore {
            guard !isCongested else { return .congested }
            if session.hasPostponedInput {
                passCommandsToBroker()
                if let pause = pauseAfterCommands { return pause }
            }
            guard quota > 0 else { return .quotaExceeded }
            guard installPendingLayers() else { break }
            let before = stream.plain.count
            hasMore = try stream.advance(limit: Self.decodedBytesPerStep)
            quota -= stream.plain.count - before
            passCommandsToBroker()
            if let pause = pauseAfterCommands { return pause }
            hasMore = hasMore || session.pendingUpgrade != nil
        }
        if stream.isEstablished { writeEncoded() }
        return stream.hasEnded ? .ended : isCongested ? .congested : .needsInput
    }

    /// The reason why no more bytes are decoded after the broker has executed commands; `nil` if
    /// decoding continues.
    private var pauseAfterCommands: InputResult? {
        if session.authorizationRequest != nil { return .needsAuthorization }
        if session.isEnded { return .sessionEnded }
        return session.hasPostponedInput ? .quotaExceeded : nil
    }

    /// `true` if the client does not read its responses, or the replies of TLS to its key updates.
    private var isCongested: Bool {
        let limit = server.broker.options.maxUnsentBytes
        return session.isCongested(limit: limit) || stream.wire.count >= limit
    }

    private func passCommandsToBroker() {
        let plain = stream.plain
        guard !plain.isEmpty else { return }
        guard plain.count >= session.neededBytes else {
            return server.broker.refuseIfMemoryIsFull(
                plain.bytes, neededBytes: session.neededBytes, from: session, at: server.now)
        }
        plain.consume(server.receive(plain.bytes, from: session))
    }

    /// Removes and returns the decoded bytes of an incomplete command.
    func removeIncompleteCommand() -> [UInt8] {
        defer { stream.plain.clear() }
        return Array(stream.plain.bytes)
    }

    // MARK: Installing

    /// Installs the negotiated layers, the lowest first.
    ///
    /// - Returns: `false` during the TLS handshake, when no decoded bytes are available.
    private func installPendingLayers() -> Bool {
        guard let upgrade = session.pendingUpgrade else { return true }
        if upgrade.tls {
            guard let tls = stream.tls, tls.isEstablished else {
                writeEncoded()
                return false
            }
            handshakeTimer.stop()
            server.broker.didInstallTLS(TLSSummary(tls), on: session, at: server.now)
        }
        // Responses that are queued already must not be compressed, so they are encoded before the
        // compression is added.
        encodeOutput()
        if let compression = upgrade.compression {
            stream.add(compression.newLayer())
            server.broker.didInstallCompression(on: session, at: server.now)
        }
        return true
    }

    /// Ends a session whose bytes cannot be decoded. The layers still send their closing alerts.
    private func fail(_ error: TransportError) -> InputResult {
        server.logger.error("[\(session.address)] - \(error)")
        server.broker.closeForBrokenLayer(of: session, at: server.now)
        return .sessionEnded
    }

    // MARK: Sending

    /// Encodes as many bytes of the outbox as the quota allows, and writes them to the socket.
    func flush() -> FlushResult {
        guard !isFlushScheduled else { return .scheduled }
        defer { updateMemory() }
        encodeOutput(limit: server.sendQuota(limit: Self.maxSentBytesPerIteration))
        let hasMore =
            stream.isEstablished && !(remainingOutput.isEmpty && session.outbox.isEmpty)
        let isEnded = session.isEnded && !session.hasPendingResponses && !hasMore
        if isEnded { stream.finish() }
        guard writeEncoded() else { return .blocked }
        session.updateUnsentBytes(remainingOutput.byteCount, at: server.loop.nowNanoseconds)
        if isEnded { return .ended }
        isFlushScheduled = hasMore
        return hasMore ? .hasMore : .written
    }

    /// `true` if frames that were in the outbox at an earlier flush are not encoded yet.
    var hasPendingOutput: Bool {
        isFlushScheduled || !remainingOutput.isEmpty || !stream.isEstablished
    }

    /// Updates the account of the buffers and of the layers' own state.
    private func updateMemory() {
        var byteCount = stream.bufferedBytes
        if stream.tls != nil { byteCount += Self.tlsBytes }
        switch session.compression {
        case .deflate: byteCount += Self.deflateBytes
        case .snappy: byteCount += Self.snappyBytes
        case nil: break
        }
        memory.set(byteCount)
    }

    /// Estimates of the memory of one session of OpenSSL, and of zlib's and snappy's state in both
    /// directions.
    private static let tlsBytes = 40 << 10
    private static let deflateBytes = 320 << 10
    private static let snappyBytes = 64 << 10

    /// Permits the next flush, which ``FlushResult/hasMore`` postponed to this iteration.
    func beginNextFlush() { isFlushScheduled = false }

    private func encodeOutput(limit: Int = .max) {
        guard stream.isEstablished else { return }
        let left = limit - remainingOutput.drain(atMost: limit) { stream.send($0) }
        if session.outbox.byteCount <= left {
            session.outbox.drain { stream.send($0) }
        } else if remainingOutput.isEmpty {
            remainingOutput = session.outbox.detach()
            remainingOutput.drain(atMost: left) { stream.send($0) }
        }
        stream.flush()
    }

    /// Writes encoded bytes to the socket.
    ///
    /// - Returns: `true` if the socket buffer accepted all bytes, or if the connection is broken.
    @discardableResult
    private func writeEncoded() -> Bool {
        guard !writer.isBlocked else { return false }
        guard !stream.wire.isEmpty else { return true }
        let outcome = withUnsafePointer(to: IOSlice(stream.wire.bytes)) {
            writer.tryWrite(UnsafeBufferPointer(start: $0, count: 1))
        }
        guard case .wrote(let sent) = outcome else {
            connection.didFailWrite()
            stream.wire.clear()
            return true
        }
        stream.wire.consume(sent)
        guard !stream.wire.isEmpty else { return true }
        queueEncoded()
        return false
    }

    private func queueEncoded() {
        let rest = stream.takeWire()
        session.updateUnsentBytes(
            rest.count + remainingOutput.byteCount, at: server.loop.nowNanoseconds)
        withUnsafePointer(to: IOSlice(rest.bytes)) {
            writer.queue(UnsafeBufferPointer(start: $0, count: 1), owner: rest)
        }
    }
}

extension Upgrade.Compression {
    fileprivate func newLayer() -> any TransportLayer {
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
