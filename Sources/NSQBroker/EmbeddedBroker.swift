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
    /// The address that clients connect to, as `host:port`. If the configured port is 0, the address
    /// contains the port that the system has chosen.
    public let tcpAddress: String
    /// The address of the HTTP API, as `host:port`; `nil` if it is disabled.
    public let httpAddress: String?
    /// The address of the HTTP API over TLS, as `host:port`; `nil` if it is disabled.
    public let httpsAddress: String?

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
    /// - Throws: ``StartError``, whose ``StartError/code`` identifies the unusable setting or
    ///   resource.
    public static func start(
        _ configuration: Configuration = Configuration()
    ) async throws(StartError) -> EmbeddedBroker {
        try await start(configuration, clock: .system)
    }

    /// Starts a broker for a test, with faults and with a clock that the test may advance.
    package static func start(
        _ configuration: Configuration, clock: Loop.Clock, faults: BrokerFaults? = nil
    ) async throws(StartError) -> EmbeddedBroker {
        let options = try configuration.options()
        do {
            return try await start(
                options, configuration.logger, clock: clock, faults: faults)
        } catch {
            throw StartError(error)
        }
    }

    /// Starts a broker with all options of the `nsqd` command. A test can use a manual clock.
    package static func start(
        _ options: ServerOptions, _ logger: Logger, clock: Loop.Clock = .system,
        faults: BrokerFaults? = nil
    ) async throws -> EmbeddedBroker {
        let options = try options.validated()
        do {
            let (host, addresses) = try await LoopHost.start(
                threadName: "nsqd", clock: clock
            ) { loop in
                let tls = try options.tls.server.map { try TLSContext(server: $0) }
                // Reads the file once, so that an unreadable file fails the start and not the first
                // request.
                if !options.tls.rootCAFile.isEmpty {
                    _ = try TLSContext(client: options.tls.client)
                }
                logger.info("nsqd v\(options.core.version) (built w/swift)")
                logger.info("ID: \(options.nodeID)")
                logger.info("NSQ: \(options.disk.storageDescription)")
                // The listeners are bound before the data path is opened, so that an unusable address
                // does not change the data path. The loop accepts connections only after this
                // closure.
                let listeners = try BrokerListeners(of: options, on: loop, logger)
                do {
                    let server = try BrokerServer(
                        options: options, tls: tls, faults: faults, on: loop, logger: logger)
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
            throw StartError(startingAt: options.addresses.tcp, error)
        }
    }

    /// Closes all connections, ends the broker's thread, and returns when both are done.
    ///
    /// Unfinished messages are lost unless there is a ``Configuration/dataPath``. Further calls only
    /// wait until the first call has stopped the broker.
    public func stop() async {
        await host.stop()
    }

    /// Returns the current counters of the broker. They are empty after ``stop()``.
    public func statistics() async -> Statistics {
        await host.perform { Statistics($0.broker.statistics(at: $0.now)) } ?? Statistics(nil)
    }

    /// Returns the time since the oldest queued or in-flight message of a channel was published;
    /// `nil` if there is no such message.
    package func oldestAge(topic: String, channel: String) async -> Duration? {
        guard let topic = TopicName(topic), let channel = ChannelName(channel) else { return nil }
        return await host.perform { $0.broker.oldestAge(of: topic, channel, at: $0.now) } ?? nil
    }

    /// Advances the manual clock of the broker, and returns when the due work is done.
    package func advance(by duration: Duration) async { await host.advance(by: duration) }

    /// Closes the selected TCP connections at once, without sending their pending output.
    ///
    /// - Returns: the number of closed connections.
    package func closeConnections(
        where isSelected: @escaping @Sendable (Session) -> Bool
    ) async -> Int {
        await host.perform { $0.tcp.closeConnections(where: isSelected) } ?? 0
    }
}
