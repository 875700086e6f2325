import Logging
import NSQBroker
import NSQClient

/// Several brokers for one test, and optionally the nsqlookupds at which they register.
///
/// ``withCluster(brokers:lookupds:configuration:_:)`` starts and stops them. A test can stop and start
/// single nodes:
///
/// ```swift
/// try await withCluster(brokers: 3) { cluster in
///     let consumer = try cluster.consumer(topic: "plays", channel: "counts")
///     await cluster.nodes[0].stop()
///     try await cluster.nodes[0].start()
/// }
/// ```
public final class NSQCluster: Sendable {
    /// The brokers. Each has the system's clock, and an address that stays the same after a restart.
    public let nodes: [TestBroker]
    /// The HTTP addresses of the nsqlookupds, for clients; empty if the cluster has none.
    public var lookupdAddresses: [String] { lookupds.map(\.httpAddress) }
    /// The nsqlookupds. A test may stop and start each of them.
    public let lookupds: [LookupDaemon]

    private let clients = ClientList()

    init(
        brokers: Int, lookupds count: Int, configuration: EmbeddedBroker.Configuration
    ) async throws {
        let lookupds = try await LookupDaemon.start(count)
        var nodes: [TestBroker] = []
        do {
            for number in 0..<brokers {
                var configuration = configuration
                configuration.broadcastAddress = "127.0.0.1"
                configuration.lookupds += lookupds.map(\.tcpAddress)
                // nsqlookupd refuses a broker without an HTTP port.
                if !lookupds.isEmpty, configuration.httpAddress == nil {
                    configuration.httpAddress = "127.0.0.1:0"
                }
                // Brokers cannot share a folder.
                configuration.dataPath = configuration.dataPath.map { "\($0)-\(number)" }
                nodes.append(try await TestBroker(configuration, clock: .system))
            }
        } catch {
            for node in nodes { await node.tearDown() }
            for lookupd in lookupds { await lookupd.stop() }
            throw error
        }
        self.nodes = nodes
        self.lookupds = lookupds
    }

    /// The addresses of all brokers, for clients.
    public var addresses: [String] { nodes.map(\.tcpAddress) }

    /// Creates a consumer that finds the brokers by the nsqlookupds, or by their addresses if the
    /// cluster has no nsqlookupd. It logs nothing below errors, and is stopped with the cluster.
    ///
    /// - Throws: `NSQError` if a name or an option is invalid, or if the process has no file descriptors
    ///   or threads left.
    public func consumer(
        topic: String, channel: String, options: Consumer.Options = .init()
    ) throws(NSQError) -> Consumer {
        var options = options
        // With the default of 60 s, a test would wait too long for a restarted broker.
        options.lookup.pollInterval = min(options.lookup.pollInterval, .milliseconds(50))
        let consumer = try Consumer(
            topic: topic, channel: channel, nsqds: lookupds.isEmpty ? addresses : [],
            lookupds: lookupdAddresses, options: options, logger: Logger(quiet: "nsq.consumer"))
        clients.add(consumer)
        return consumer
    }

    /// Creates a producer that publishes to the brokers. It logs nothing below errors, and is stopped with
    /// the cluster.
    ///
    /// - Throws: `NSQError` if an option is invalid, or if the process has no file descriptors
    ///   or threads left.
    public func producer(options: Producer.Options = .init()) throws(NSQError) -> Producer {
        let producer = try Producer(
            nsqds: addresses, options: options, logger: Logger(quiet: "nsq.producer"))
        clients.add(producer)
        return producer
    }

    /// Creates a channel at every running broker, so that it receives the messages that are published to
    /// any of them from now on.
    ///
    /// - Throws: `EmbeddedBroker.AdministrationError` if a name is invalid.
    public func createChannel(
        _ channel: String, of topic: String
    ) async throws(EmbeddedBroker.AdministrationError) {
        for node in nodes where node.isRunning {
            try await node.embedded.createChannel(channel, of: topic)
        }
    }

    /// Waits until a channel has no message left at any running broker.
    ///
    /// - Throws: ``TimedOut`` after the timeout, which applies to each broker separately;
    ///   `CancellationError` if the task is cancelled.
    public func waitUntilDrained(
        _ channel: String, of topic: String, timeout: Duration = .seconds(60)
    ) async throws {
        for node in nodes where node.isRunning {
            try await node.wait(
                until: "channel \(channel) of \(topic) is drained", timeout: timeout
            ) { statistics in
                // A broker to which nobody has published may lack the topic.
                guard let topic = statistics.topics.first(where: { $0.name == topic }),
                    let channel = topic.channels.first(where: { $0.name == channel })
                else { return true }
                return topic.depth + channel.depth + channel.inFlightCount + channel.deferredCount
                    == 0
            }
        }
    }

    func tearDown() async {
        // The brokers stop first: a client that stopped first would wait for their responses.
        for node in nodes { await node.tearDown() }
        await clients.abandon()
        for lookupd in lookupds { await lookupd.stop() }
    }
}

/// Runs a test with several brokers of its own: in memory, at free ports of 127.0.0.1, ready when
/// `body` is called, and stopped afterwards together with the clients that the cluster created.
///
/// - Parameters:
///   - brokers: the number of brokers, 3 by default.
///   - lookupds: the number of nsqlookupds, none by default. They run in this process; if the
///     environment variable `NSQLOOKUPD_PROGRAM` names a program, they are processes of it.
///   - configuration: the configuration of every broker; by default, it logs errors only. A number is
///     appended to its data path.
///   - body: the test.
/// - Returns: the result of `body`.
/// - Throws: the error of `body`, or of the start; ``LookupDaemon/Failure`` if the nsqlookupds cannot
///   be started.
public func withCluster<Result>(
    brokers: Int = 3, lookupds: Int = 0, configuration: EmbeddedBroker.Configuration? = nil,
    _ body: (NSQCluster) async throws -> Result
) async throws -> Result {
    let cluster = try await NSQCluster(
        brokers: brokers, lookupds: lookupds, configuration: configuration ?? .quiet)
    do {
        let result = try await body(cluster)
        await cluster.tearDown()
        return result
    } catch {
        await cluster.tearDown()
        throw error
    }
}
