import BrokerCore
import HTTP
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
    private let dataPath: DataPath?
    /// What TLS is offered with, if it is.
    let tls: TLSContext?
    var logger: Logger
    /// What was chosen, with what became of it: ports that the kernel chose, changes over HTTP.
    package private(set) var options: ServerOptions
    /// Called with the options as they were, when some have changed while the broker runs.
    package var whenOptionsChange: ((ServerOptions) -> Void)?
    /// `nil` as long as it listens nowhere, or on the path of a Unix-domain socket.
    private(set) var tcpAddress: SocketAddress?
    private(set) var httpAddress: SocketAddress?
    private(set) var httpsAddress: SocketAddress?
    private(set) lazy var lookup = Lookup(of: self)
    private(set) lazy var authorizer = Authorizer(of: self)
    private var statsd: StatsdPusher?

    /// What connections read into: one buffer for all, as the loop reads one at a time.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: BrokerServer.readBufferBytes, alignment: 16)

    private var listeners: [Listener] = []
    private var connections: [SessionID: TCPConnection] = [:]
    private var http: (server: HTTPServer, routes: HTTPRoutes)?
    private let alarm: Timer
    private var alarmAt = Int64.max
    private var whenStopped: (() -> Void)?

    static let readBufferBytes = 256 << 10

    package init(
        options: ServerOptions, tls: TLSContext? = nil, on loop: Loop, logger: Logger
    ) throws(LedgerError) {
        self.loop = loop
        self.logger = logger
        self.tls = tls
        self.options = options
        self.options.core.tlsAvailable = tls != nil
        var dataPath: DataPath?
        if let dataPathOptions = options.disk.dataPathOptions {
            dataPath = try DataPath(dataPathOptions, on: loop, logger: logger)
        }
        self.dataPath = dataPath
        broker = Broker(options: self.options.core, ledger: dataPath?.journal, at: loop.moment)
        alarm = Timer(on: loop)
        try recover()
        loop.waitEagerly(for: options.eagerWait)
        loop.endOfTurn = { [weak self] in self?.endTurn() }
    }

    private func recover() throws(LedgerError) {
        guard let dataPath else { return }
        try dataPath.recover(into: broker, at: now)
        dataPath.journal.onSync = { [weak self] write, failure in
            self?.synced(upTo: write, failure)
        }
    }

    private func synced(upTo write: UInt64, _ failure: LedgerError?) {
        if let failure {
            broker.syncFailed(upTo: write, failure, at: now)
        } else {
            broker.synced(upTo: write, at: now)
        }
    }

    /// Why messages cannot be taken now, if they cannot.
    var failure: LedgerError? { dataPath?.journal.failure }

    /// What goes through layers in a turn, from all clients and to them.
    var takingShare = TurnShare(most: 2 << 20, least: 64 << 10)
    var sendingShare = TurnShare(most: 256 << 10, least: 4 << 10)

    deinit { readBuffer.deallocate() }

    var now: Moment { loop.moment }

    // MARK: Listening

    /// Takes connections there; port 0 is any free one.
    ///
    /// - Returns: where it listens.
    /// - Throws: `UVError`, `EADDRINUSE` above all.
    package func listen(at endpoint: Endpoint) throws(UVError) -> Endpoint {
        let listener = try Listener(on: loop, at: endpoint) {
            [weak self] stream in self?.accept(stream)
        }
        listeners.append(listener)
        tcpAddress = listener.endpoint.tcpAddress
        options.addresses.bound(tcp: listener.endpoint)
        logger.info("TCP: listening on \(listener.endpoint)")
        return listener.endpoint
    }

    /// Serves the HTTP API there; port 0 is any free one.
    ///
    /// - Returns: where it listens.
    package func listenForHTTP(at endpoint: Endpoint) throws(UVError) -> Endpoint {
        let bound = try httpServer.listen(at: endpoint)
        httpAddress = bound.tcpAddress
        options.addresses.bound(http: bound)
        logger.info("HTTP: listening on \(bound)")
        return bound
    }

    /// Serves the HTTP API over TLS there, with what clients of TCP get it with.
    package func listenForHTTPS(at endpoint: Endpoint) throws(UVError) -> Endpoint {
        precondition(tls != nil, "without a certificate there is no HTTPS")
        let bound = try httpServer.listen(at: endpoint, tls: tls)
        httpsAddress = bound.tcpAddress
        options.addresses.https = bound.description
        logger.info("HTTPS: listening on \(bound)")
        return bound
    }

    /// How long the loop's turns were, since there is anybody to ask over HTTP.
    private(set) var turnTimes = PrometheusHistogram()

    /// One server for both.
    private var httpServer: HTTPServer {
        if let http { return http.server }
        let routes = HTTPRoutes(of: self)
        let server = HTTPServer(serving: routes, on: loop)
        server.limit = (options.httpConnectionLimit, .failure(.tooManyConnections))
        http = (server, routes)
        loop.measureTurns { [weak self] in self?.turnTimes.add(nanoseconds: $0) }
        return server
    }

    /// All listeners are there: the services that tell others of them can begin.
    package func startServices() {
        lookup.start()
        whenOptionsChange = { [unowned self] before in
            if options.lookup != before.lookup { lookup.addressesChanged() }
        }
        guard !options.statsd.address.isEmpty else { return }
        statsd = StatsdPusher(of: self)
        statsd?.start()
    }

    /// Changes options while the broker runs.
    func change(_ body: (inout ServerOptions) -> Void) {
        let before = options
        body(&options)
        logger.logLevel = options.log.level.level
        whenOptionsChange?(before)
    }

    var httpConnectionCount: Int { http?.server.connectionCount ?? 0 }

    var startedAtSeconds: Int { Int(broker.startedAt.wall / 1_000_000_000) }

    private func accept(_ stream: Stream) {
        stream.noDelay(true)
        let session = broker.connect(
            from: stream.peerName, host: stream.peerAddress?.host ?? "", at: now)
        let connection = TCPConnection(stream, session, of: self)
        connections[session.id] = connection
        logger.debug("TCP: new client(\(session.address))")
        connection.start()
        let limit = options.tcpConnectionLimit
        if broker.connectionCount > limit { broker.refuse(session, beyond: limit, at: now) }
    }

    /// The connection's stream is closed for good.
    func connectionClosed(_ session: Session) {
        connections[session.id] = nil
        logger.debug("TCP: client(\(session.address)) gone")
        finishStopping()
    }

    // MARK: Turns

    private func endTurn() {
        repeat {
            // Who has taken all of it at once may be given more.
            while case let sessions = broker.endTurn(at: now), !sessions.isEmpty {
                for session in sessions { connections[session.id]?.flush() }
            }
        } while passOnEvents()
        setAlarm()
    }

    /// - Returns: whether there were any; they may have consequences in this very turn.
    private func passOnEvents() -> Bool {
        let events = broker.takeEvents()
        for event in events {
            log(event)
            lookup.note(event)
        }
        return !events.isEmpty
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
        case .unreadable(let topic, let error):
            logger.error("TOPIC(\(topic)): \(error)")
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
        lookup.stop()
        authorizer.stop()
        statsd?.stop()
        logger.info("TCP: closing \(options.addresses.tcp)")
        if http != nil { logger.info("HTTP: closing \(options.addresses.http)") }
        for listener in listeners { listener.close() }
        listeners = []
        alarm.close()
        for connection in connections.values { connection.end() }
        let httpServer = http?.server
        httpServer?.stop { [weak self] in
            self?.http = nil
            self?.finishStopping()
        }
        finishStopping()
    }

    private func finishStopping() {
        guard connections.isEmpty, http == nil, let done = whenStopped else { return }
        whenStopped = nil
        // What the last ones who left have said is noted.
        endTurn()
        loop.endOfTurn = nil
        guard let dataPath else { return done() }
        dataPath.close(done)
    }
}

extension Loop {
    /// The present, on both of the broker's clocks.
    var moment: Moment { Moment(monotonic: nowNanoseconds, wall: wallClockNanoseconds) }
}
