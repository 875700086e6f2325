import BrokerCore
import Logging
import TallyBasics
import Transport
import UVLoop

/// A broker and its network services on one loop: the TCP protocol, the HTTP API, registration with
/// nsqlookupd, authorization and statsd.
///
/// All methods must be called on the loop's thread.
package final class BrokerServer: LoopHosted {
    let broker: Broker
    let loop: Loop
    /// The TLS context of new connections; `nil` if the broker does not offer TLS.
    private(set) var tls: TLSContext?
    /// The certificate authorities that the broker trusts in its own requests.
    let trust: TrustedAuthorities
    /// The faults of a test; `nil` outside of tests.
    let faults: BrokerFaults?
    private(set) var logger: Logger
    /// The current options. They contain the bound ports, and changes that were made over HTTP.
    package private(set) var options: ServerOptions
    /// Runs after options have changed at run time. The argument contains the options before the
    /// change.
    package var onOptionsChange: ((ServerOptions) -> Void)?

    private let dataPath: DataPath?
    private(set) lazy var tcp = TCPServer(of: self)
    private(set) lazy var http = BrokerHTTPServer(of: self)
    private(set) lazy var lookup = LookupRegistrar(of: self)
    private(set) lazy var authorizer = Authorizer(of: self)
    private(set) lazy var drain = BrokerDrain(of: self)
    private lazy var driver = BrokerDriver(broker, on: loop, flush: tcp.flush) {
        [unowned self] in handle($0)
    }
    private lazy var eventLogger = BrokerEventLogger(
        on: loop, clientName: { [unowned self] in tcp.clientName(of: $0) },
        logger: { [unowned self] in logger })
    private var statsd: StatsdPusher?
    private var isStopped = false

    /// Creates a broker, and recovers topics, channels and messages from its data path.
    ///
    /// - Throws: `MessageLogError` if the data path cannot be opened or read.
    package init(
        options: ServerOptions, tls: TLSContext? = nil, faults: BrokerFaults? = nil,
        on loop: Loop, logger: Logger
    ) throws(MessageLogError) {
        self.faults = faults
        self.loop = loop
        self.logger = logger
        self.tls = tls
        trust = TrustedAuthorities(options.tls)
        self.options = options
        self.options.core.tlsAvailable = tls != nil
        var dataPath: DataPath?
        if let dataPathOptions = options.disk.dataPathOptions {
            dataPath = try DataPath(dataPathOptions, on: loop, logger: logger)
        }
        self.dataPath = dataPath
        broker = Broker(
            options: self.options.core, messageLog: dataPath?.journal, at: loop.timestamp)
        try recover()
        if let faults { broker.setPublishReporter { faults.didPublish(Array($1), to: $0) } }
        loop.enableBusyPoll(for: options.busyPoll)
        _ = driver
    }

    private func recover() throws(MessageLogError) {
        guard let dataPath else { return }
        try dataPath.recover(into: broker, at: now)
        dataPath.journal.onSync = { [weak self] write, failure in
            self?.didSync(upTo: write, failure)
        }
    }

    private func didSync(upTo write: UInt64, _ failure: MessageLogError?) {
        if let failure {
            broker.didFailSync(upTo: write, failure, at: now)
        } else {
            broker.didSync(upTo: write, at: now)
        }
    }

    /// The reason why the broker cannot store messages, or `nil` if it can.
    var failure: MessageLogError? { dataPath?.journal.failure }

    var now: Timestamp { loop.timestamp }
    var startedAtSeconds: Int { Int(broker.startedAt.wall / 1_000_000_000) }

    private func handle(_ event: BrokerEvent) {
        eventLogger.log(event)
        lookup.handle(event)
    }

    // MARK: Listening

    /// Accepts clients of the TCP protocol.
    package func accept(on listener: Listener) {
        tcp.accept(on: listener)
        options.addresses.bound(tcp: listener.endpoint)
    }

    /// Serves the HTTP API.
    package func serveHTTP(on listener: Listener) {
        http.accept(on: listener)
        options.addresses.bound(http: listener.endpoint)
    }

    /// Serves the HTTP API over TLS, with the certificate of the TCP protocol.
    package func serveHTTPS(on listener: Listener) {
        precondition(tls != nil, "HTTPS requires a certificate")
        http.acceptHTTPS(on: listener)
        options.addresses.bound(https: listener.endpoint)
    }

    /// Starts the registration with nsqlookupd and the reports to statsd. Both contain the bound
    /// addresses, so the listeners must be bound before.
    package func startServices() {
        lookup.start()
        onOptionsChange = { [unowned self] before in
            if options.lookup != before.lookup { lookup.addressesChanged() }
        }
        guard !options.statsd.address.isEmpty else { return }
        statsd = StatsdPusher(of: self)
        statsd?.start()
    }

    /// Changes options at run time.
    func changeOptions(_ change: (inout ServerOptions) -> Void) {
        let before = options
        change(&options)
        logger.logLevel = options.log.level.level
        onOptionsChange?(before)
    }

    /// Reads the files of certificates, keys and authorities again, for all connections that begin later.
    ///
    /// - Throws: `TLSSetupError` if a file cannot be used. The previous files then stay in use.
    func reloadCertificates() throws(TLSSetupError) {
        let context: TLSContext? =
            if let server = options.tls.server { try TLSContext(server: server) } else { nil }
        try trust.reload()
        tls = context
    }

    // MARK: Stopping

    /// Stops accepting connections and messages, sends pending bytes, and closes all connections.
    ///
    /// - Parameter done: runs once, when the last connection and the data path are closed.
    package func stop(_ done: @escaping () -> Void) {
        precondition(!isStopped, "a server is stopped once")
        isStopped = true
        drain.stop()
        broker.stop()
        lookup.stop()
        authorizer.stop()
        statsd?.stop()
        driver.stopTimer()
        logger.info("TCP: closing \(options.addresses.tcp)")
        if http.isListening, !options.addresses.http.isEmpty {
            logger.info("HTTP: closing \(options.addresses.http)")
        }
        var openServers = 2
        let serverStopped = { [self] in
            openServers -= 1
            if openServers == 0 { finishStop(done) }
        }
        tcp.stop(serverStopped)
        http.stop(serverStopped)
    }

    private func finishStop(_ done: @escaping () -> Void) {
        driver.finish()
        eventLogger.finish()
        guard let dataPath else { return done() }
        dataPath.close(done)
    }
}
