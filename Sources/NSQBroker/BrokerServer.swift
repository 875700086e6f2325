import BrokerCore
import Logging
import NSQWire
import Transport
import UVLoop

/// A broker on a loop: listens, lends `BrokerCore` its ears and its clock, and sends what it says.
///
/// Lives on the loop's thread. Whatever a turn of the loop brings is handed to the core as it
/// comes; when the turn ends, messages are handed out and each connection gets one write. That is
/// right before the loop waits, so that a lone message leaves at once (nsqd keeps it for up to
/// 250 ms to fill its output buffer).
package final class BrokerServer {
    let broker: Broker
    let loop: Loop
    let logger: Logger
    /// What TLS is offered with, if it is.
    let tls: TLSContext?

    /// What connections read into: one buffer for all, as the loop reads one at a time.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: BrokerServer.readBufferBytes, alignment: 16)

    private var listeners: [Listener] = []
    private var connections: [SessionID: TCPConnection] = [:]
    private let alarm: Timer
    private var alarmAt = Int64.max
    private var whenStopped: (() -> Void)?

    static let readBufferBytes = 256 << 10

    package init(
        options: BrokerOptions, tls: TLSContext? = nil, on loop: Loop, logger: Logger
    ) {
        self.loop = loop
        self.logger = logger
        self.tls = tls
        var options = options
        options.tlsAvailable = tls != nil
        broker = Broker(options: options, at: loop.moment)
        alarm = Timer(on: loop)
        loop.endOfTurn = { [weak self] in self?.endTurn() }
    }

    deinit { readBuffer.deallocate() }

    var now: Moment { loop.moment }

    // MARK: Listening

    /// Takes connections at `address`; port 0 is any free one.
    ///
    /// - Returns: the address it listens on.
    /// - Throws: `UVError`, `EADDRINUSE` above all.
    package func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
        let listener = try Listener(on: loop, host: address.host, port: address.port) {
            [weak self] stream in self?.accept(stream)
        }
        listeners.append(listener)
        logger.info("TCP: listening on \(listener.address)")
        return listener.address
    }

    private func accept(_ stream: Stream) {
        stream.noDelay(true)
        let peer = stream.peerAddress
        let session = broker.connect(
            from: peer?.description ?? "?", host: peer?.host ?? "?", at: now)
        let connection = TCPConnection(stream, session, of: self)
        connections[session.id] = connection
        logger.debug("TCP: new client(\(session.address))")
        connection.start()
    }

    /// The connection's stream is closed for good.
    func connectionClosed(_ session: Session) {
        connections[session.id] = nil
        logger.debug("TCP: client(\(session.address)) gone")
        finishStopping()
    }

    // MARK: Turns

    private func endTurn() {
        for session in broker.endTurn(at: now) {
            connections[session.id]?.flush()
        }
        for event in broker.takeEvents() { log(event) }
        setAlarm()
    }

    private func setAlarm() {
        guard let due = broker.nextDeadline, due < alarmAt else { return }
        alarmAt = due
        alarm.start(after: .nanoseconds(max(0, due - loop.nowNanoseconds))) { [weak self] in
            self?.alarmWentOff()
        }
    }

    private func alarmWentOff() {
        alarmAt = .max
        broker.tick(at: now)
    }

    private func log(_ event: BrokerEvent) {
        switch event {
        case .topicCreated(let topic): logger.info("TOPIC(\(topic)): created")
        case .topicDeleted(let topic): logger.info("TOPIC(\(topic)): deleted")
        case .channelCreated(let topic, let channel):
            logger.info("TOPIC(\(topic)): new channel(\(channel))")
        case .channelDeleted(let topic, let channel):
            logger.info("TOPIC(\(topic)): deleted channel(\(channel))")
        case .topicPaused(let topic, let isPaused):
            logger.info("TOPIC(\(topic)): \(isPaused ? "paused" : "unpaused")")
        case .channelPaused(let topic, let channel, let isPaused):
            logger.info("TOPIC(\(topic)): channel(\(channel)) \(isPaused ? "paused" : "unpaused")")
        case .clientFailed(let id, let error):
            logger.error("[\(name(of: id))] - \(error)")
        case .clientDropped(let id, let reason):
            logger.info("[\(name(of: id))] closing: \(reason.rawValue)")
        }
    }

    private func name(of id: SessionID) -> String {
        connections[id]?.session.address ?? "client \(id)"
    }

    // MARK: Stopping

    /// Takes no connection and no message any more, sends what is to be sent, hangs up.
    ///
    /// - Parameter done: called once, when the last connection is closed.
    package func stop(_ done: @escaping () -> Void) {
        precondition(whenStopped == nil, "a server is stopped once")
        whenStopped = done
        broker.stop()
        for listener in listeners { listener.close() }
        listeners = []
        alarm.close()
        for connection in connections.values { connection.end() }
        finishStopping()
    }

    private func finishStopping() {
        guard connections.isEmpty, let done = whenStopped else { return }
        whenStopped = nil
        loop.endOfTurn = nil
        done()
    }
}

extension Loop {
    /// The present, on both of the broker's clocks.
    var moment: Moment { Moment(monotonic: nowNanoseconds, wall: wallClockNanoseconds) }
}
