import BrokerCore
import Logging
import NSQWire
import Transport
import UVLoop

/// An NSQ broker inside your process, on a thread of its own: any NSQ client can talk to it.
///
/// ```swift
/// let broker = try await EmbeddedBroker.start()
/// print("nsq_tail --nsqd-tcp-address=\(broker.tcpAddress) --topic=plays")
/// await broker.stop()
/// ```
///
/// Messages are held in memory, up to ``Configuration/maxMemoryBytes``, unless there is a
/// ``Configuration/dataPath``.
public final class EmbeddedBroker: Sendable {
    /// What can be chosen; the defaults are nsqd's, but for the address.
    public struct Configuration: Sendable {
        /// `host:port` to listen on, or the path of a Unix-domain socket. Port 0, the default, is
        /// any free one.
        public var tcpAddress = "127.0.0.1:0"
        /// Where to serve the HTTP API, likewise; by default nowhere.
        public var httpAddress: String?
        /// How long a consumer may hold a message before it goes to another.
        public var messageTimeout = Duration.seconds(60)
        /// The largest message, in bytes.
        public var maxMessageBytes = 1_048_576
        /// Memory for queued messages, in bytes; beyond it publishers get `E_PUB_FAILED`.
        public var maxMemoryBytes = 2 << 30
        /// A folder to keep topics, channels and messages in, so that they outlive the broker: what
        /// is acknowledged is there. Without one they are in memory only.
        public var dataPath: String?
        /// Where the broker's log goes.
        public var logger = Logger(label: "nsqd")

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

    /// The address clients connect to, as `host:port`.
    public let tcpAddress: String
    /// The address of the HTTP API, as `host:port`; `nil` if none was asked for.
    public let httpAddress: String?
    /// The same over TLS.
    package let httpsAddress: String?

    let thread: LoopThread
    let server: LoopBound<BrokerServer>

    private init(_ addresses: Addresses, thread: LoopThread, server: LoopBound<BrokerServer>) {
        tcpAddress = addresses.tcp
        httpAddress = addresses.http
        httpsAddress = addresses.https
        self.thread = thread
        self.server = server
    }

    /// Starts a broker; it takes connections when this returns.
    ///
    /// - Throws: ``StartError``, if an address is malformed or taken.
    public static func start(
        _ configuration: Configuration = Configuration()
    ) async throws -> EmbeddedBroker {
        try await start(configuration.options, configuration.logger)
    }

    /// The same with every option there is.
    package static func start(
        _ options: ServerOptions, _ logger: Logger
    ) async throws -> EmbeddedBroker {
        let options = try options.settled()
        let thread: LoopThread
        do {
            thread = try LoopThread(name: "nsqd")
        } catch {
            throw StartError(address: options.addresses.tcp, reason: "\(error)")
        }
        do {
            let (bound, server) = try await withCheckedThrowingContinuation { continuation in
                thread.door.submit { loop in
                    continuation.resume(
                        with: Result {
                            let tls = try options.tls.server.map { try TLSContext(server: $0) }
                            // A file that cannot be read is heard of now, not at the first question.
                            if !options.tls.rootCAFile.isEmpty {
                                _ = try TLSContext(client: options.tls.client)
                            }
                            logger.info("nsqd v\(options.core.version) (built w/swift)")
                            logger.info("ID: \(options.nodeID)")
                            let server = try BrokerServer(
                                options: options, tls: tls, on: loop, logger: logger)
                            let bound = try Addresses(opening: server)
                            server.startServices()
                            return (bound, LoopBound(server, on: loop))
                        })
                }
            }
            return EmbeddedBroker(bound, thread: thread, server: server)
        } catch {
            thread.stop()
            thread.join()
            throw error
        }
    }

    /// Where it listens.
    private struct Addresses: Sendable {
        var tcp: String
        var http: String?
        var https: String?

        init(opening server: BrokerServer) throws(StartError) {
            let wanted = server.options.addresses
            tcp = try Self.bind(wanted.tcp, server.listen)
            http = wanted.http.isEmpty ? nil : try Self.bind(wanted.http, server.listenForHTTP)
            guard server.tls != nil, !wanted.https.isEmpty else { return }
            https = try Self.bind(wanted.https, server.listenForHTTPS)
        }

        private static func bind(
            _ text: String, _ listen: (Endpoint) throws(UVError) -> Endpoint
        ) throws(StartError) -> String {
            let endpoint: Endpoint
            do throws(MalformedAddress) {
                endpoint = try Endpoint(parsing: text)
            } catch {
                throw StartError(address: text, reason: "\(error)")
            }
            do throws(UVError) {
                return try listen(endpoint).description
            } catch {
                throw StartError(listeningAt: endpoint, error)
            }
        }
    }

    /// Why a broker did not start.
    public struct StartError: Error, CustomStringConvertible {
        public let address: String
        public let reason: String

        public var description: String { "listen (\(address)) failed - \(reason)" }

        init(address: String, reason: String) {
            self.address = address
            self.reason = reason
        }

        init(listeningAt endpoint: Endpoint, _ error: UVError) {
            // Looking a name up fails before there is anything to bind.
            var reason = error.name.hasPrefix("EAI_") ? error.message : "bind: \(error.message)"
            if error == .addressInUse, case .unix(let path) = endpoint {
                reason += "; if nobody listens there any more, remove \(path)"
            }
            self.init(address: endpoint.description, reason: reason)
        }
    }

    /// Hangs up on all clients and ends the broker's thread. Messages that were not finished are
    /// gone, unless there is a data path. Calling it again does nothing.
    public func stop() async {
        await withCheckedContinuation { continuation in
            let isOpen = beginStopping { continuation.resume() }
            if !isOpen { continuation.resume() }
        }
        thread.join()
    }

    /// A broker that nobody holds any more stops by itself; its clients are still there to be hung
    /// up on.
    deinit { beginStopping {} }

    @discardableResult
    private func beginStopping(_ done: @escaping @Sendable () -> Void) -> Bool {
        thread.door.submit { [server, thread] loop in
            guard let server = server.takeOut(on: loop) else { return done() }
            server.stop {
                withExtendedLifetime(server) {}
                thread.stop()
                done()
            }
        }
    }

    /// What the broker has counted up to now; empty once it has stopped.
    public func statistics() async -> Statistics {
        await withCheckedContinuation { continuation in
            let isOpen = thread.door.submit { [server] loop in
                let statistics = server(on: loop).map { $0.broker.statistics(at: $0.now) }
                continuation.resume(returning: Statistics(statistics))
            }
            if !isOpen { continuation.resume(returning: Statistics(nil)) }
        }
    }
}

extension EmbeddedBroker {
    /// The broker's counters at one moment.
    public struct Statistics: Sendable, Equatable {
        /// By name.
        public let topics: [Topic]
        /// Clients that are connected.
        public let connections: Int

        public struct Topic: Sendable, Equatable {
            public let name: String
            /// Messages that no channel has yet.
            public let depth: Int
            /// Messages and bytes published since the topic came into being.
            public let messageCount: Int
            public let messageBytes: Int
            public let isPaused: Bool
            /// By name.
            public let channels: [Channel]
        }

        public struct Channel: Sendable, Equatable {
            public let name: String
            /// Messages that wait for a consumer.
            public let depth: Int
            public let inFlightCount: Int
            public let deferredCount: Int
            public let messageCount: Int
            public let requeueCount: Int
            public let timeoutCount: Int
            public let isPaused: Bool
            public let clientCount: Int
        }

        init(_ statistics: BrokerStatistics?) {
            connections = statistics?.connections ?? 0
            topics = (statistics?.topics ?? []).map { topic in
                Topic(
                    name: topic.name.text, depth: topic.depth, messageCount: topic.messageCount,
                    messageBytes: topic.messageBytes, isPaused: topic.isPaused,
                    channels: topic.channels.map(Channel.init))
            }
        }
    }
}

extension EmbeddedBroker.Statistics.Channel {
    fileprivate init(_ channel: ChannelStatistics) {
        self.init(
            name: channel.name.text, depth: channel.depth, inFlightCount: channel.inFlightCount,
            deferredCount: channel.deferredCount, messageCount: channel.messageCount,
            requeueCount: channel.requeueCount, timeoutCount: channel.timeoutCount,
            isPaused: channel.isPaused, clientCount: channel.clients.count)
    }
}
