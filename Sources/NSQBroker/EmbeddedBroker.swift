import BrokerCore
import Logging
import NSQWire
import Transport
import UVLoop

/// An NSQ broker that runs inside your process, on a thread of its own. Any NSQ client can connect to
/// it.
///
/// ```swift
/// let broker = try await EmbeddedBroker.start()
/// print("nsq_tail --nsqd-tcp-address=\(broker.tcpAddress) --topic=plays")
/// await broker.stop()
/// ```
///
/// The broker stores messages in memory, up to ``Configuration/maxMemoryBytes``. With a
/// ``Configuration/dataPath`` it also stores them in files. A broker that is deallocated without
/// ``stop()`` closes its connections and ends its thread.
public final class EmbeddedBroker: Sendable {
    /// The settings of a broker. The defaults are nsqd's, except for the addresses.
    public struct Configuration: Sendable {
        /// The address for clients: `host:port`, or the path of a Unix-domain socket. The default is
        /// a free port of 127.0.0.1; port 0 selects a free port.
        public var tcpAddress = "127.0.0.1:0"
        /// The address of the HTTP API, in the same format. The default, `nil`, disables the HTTP API.
        public var httpAddress: String?
        /// The time after which a message that a consumer has not finished is requeued. The default is
        /// 60 s.
        public var messageTimeout = Duration.seconds(60)
        /// The maximum size of a message in bytes. The default is 1 MiB.
        public var maxMessageBytes = 1_048_576
        /// The maximum memory for queued messages in bytes. Above it, publishing fails with
        /// `E_PUB_FAILED`. The default is 2 GiB.
        public var maxMemoryBytes = 2 << 30
        /// The path of a folder for topics, channels and messages, which then survive a restart of the
        /// broker. It is created if its parent exists. A publish is acknowledged after its messages
        /// are written there.
        /// The default, `nil`, stores everything in memory only.
        public var dataPath: String?
        /// The logger of the broker. The default has the label `nsqd`.
        public var logger = Logger(label: "nsqd")

        /// Creates a configuration with the defaults.
        public init() {}

        var options: ServerOptions {
            var options = ServerOptions()
            options.addresses.tcp = tcpAddress
            options.addresses.http = httpAddress ?? ""
            options.disk.dataPath = dataPath ?? ""
            options.core.messageTimeout = messageTimeout
            options.core.maxMessageBytes = maxMessageBytes
            options.core.maxMemoryBytes = maxMemoryBytes
            return options
        }
    }

    /// The address that clients connect to, as `host:port` with the selected port.
    public let tcpAddress: String
    /// The address of the HTTP API, as `host:port`; `nil` if it is disabled.
    public let httpAddress: String?
    /// The address of the HTTP API over TLS; `nil` without TLS.
    package let httpsAddress: String?

    let host: LoopHost<BrokerServer>

    private init(_ addresses: BrokerListeners.Addresses, on host: LoopHost<BrokerServer>) {
        tcpAddress = addresses.tcp
        httpAddress = addresses.http
        httpsAddress = addresses.https
        self.host = host
    }

    /// Starts a broker, and returns when it accepts connections.
    ///
    /// - Parameter configuration: the settings of the broker.
    /// - Throws: ``StartError`` if an address is malformed or in use; another error with a
    ///   description if a setting is invalid or the data path cannot be opened.
    public static func start(
        _ configuration: Configuration = Configuration()
    ) async throws -> EmbeddedBroker {
        try await start(configuration.options, configuration.logger)
    }

    /// Starts a broker on a clock that a test may advance.
    package static func start(
        _ configuration: Configuration, clock: Loop.Clock
    ) async throws -> EmbeddedBroker {
        try await start(configuration.options, configuration.logger, clock: clock)
    }

    /// Starts a broker with all options of the `nsqd` command. A test can use a manual clock.
    package static func start(
        _ options: ServerOptions, _ logger: Logger, clock: Loop.Clock = .system
    ) async throws -> EmbeddedBroker {
        let options = try options.validated()
        do {
            let (host, addresses) = try await LoopHost.start(
                threadName: "nsqd", clock: clock
            ) { loop in
                let tls = try options.tls.server.map { try TLSContext(server: $0) }
                // An unreadable file must fail the start, not the first request that needs it.
                if !options.tls.rootCAFile.isEmpty {
                    _ = try TLSContext(client: options.tls.client)
                }
                logger.info("nsqd v\(options.core.version) (built w/swift)")
                logger.info("ID: \(options.nodeID)")
                logger.info("NSQ: \(options.disk.storageDescription)")
                // A start that fails because of an address leaves the data path as it was. The loop
                // accepts connections only after this closure.
                let listeners = try BrokerListeners(of: options, on: loop, logger)
                do {
                    let server = try BrokerServer(
                        options: options, tls: tls, on: loop, logger: logger)
                    listeners.open(server)
                    server.startServices()
                    return (server, listeners.addresses)
                } catch {
                    listeners.close()
                    throw error
                }
            }
            return EmbeddedBroker(addresses, on: host)
        } catch let error as UVError {
            throw StartError(address: options.addresses.tcp, of: .tcp, reason: "\(error)")
        }
    }

    /// Closes all connections, ends the broker's thread, and returns when both are done.
    ///
    /// Unfinished messages are lost unless there is a ``Configuration/dataPath``. Further calls only
    /// wait for the end of the first.
    public func stop() async {
        await host.stop()
    }

    /// Returns the current counters of the broker. They are empty after ``stop()``.
    public func statistics() async -> Statistics {
        await host.perform { Statistics($0.broker.statistics(at: $0.now)) } ?? Statistics(nil)
    }

    /// Returns the time since the oldest message of a channel was published, which is queued or in
    /// flight; `nil` if there is none.
    package func oldestAge(topic: String, channel: String) async -> Duration? {
        guard let topic = TopicName(topic), let channel = ChannelName(channel) else { return nil }
        return await host.perform { $0.broker.oldestAge(of: topic, channel, at: $0.now) } ?? nil
    }

    /// Advances the manual clock of the broker, and returns when the due work is done.
    package func advance(by duration: Duration) async { await host.advance(by: duration) }

    /// Closes all TCP connections at once, without sending what is pending.
    package func disconnectClients() async { _ = await host.perform { $0.tcp.closeConnections() } }
}
