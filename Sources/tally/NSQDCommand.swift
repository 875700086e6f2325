import ArgumentParser
import BrokerCore
import Glibc
import Logging
import NSQBroker
import NSQWire

/// `tally nsqd`: the broker alone. So does the binary when it is called by the name `nsqd`.
struct NSQDCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nsqd",
        abstract: "Runs the NSQ broker alone, until SIGINT or SIGTERM.",
        discussion: """
            Any NSQ client or tool can talk to it. Messages are held in memory.

            EXAMPLES
              tally nsqd --tcp-address=127.0.0.1:4150
              nsq_tail --nsqd-tcp-address=127.0.0.1:4150 --topic=plays
              curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'
            """,
        version: "nsqd v\(BrokerOptions().version) (built w/swift)")

    @OptionGroup(title: "Broker")
    var flags: BrokerFlags

    @Option(help: "Where to listen for clients, as HOST:PORT; port 0 is any free one.")
    var tcpAddress = "0.0.0.0:4150"

    @Option(
        help: """
            Where to serve the HTTP API, as HOST:PORT; port 0 is any free one. Empty: nowhere.
            """)
    var httpAddress = "0.0.0.0:4151"

    @OptionGroup(title: "Data path")
    var dataPath: DataPathFlags

    @OptionGroup(title: "TLS and compression")
    var transport: TransportFlags

    @Option(help: "What to log: debug, info, warn, error or fatal.")
    var logLevel = LogLevel.info

    func run() async throws {
        let signals = try await StopSignals.watch()
        let logger = LineLog.logger("nsqd", logLevel)
        let broker: EmbeddedBroker
        do {
            var options = flags.options
            transport.apply(to: &options)
            broker = try await EmbeddedBroker.start(
                options, dataPath: dataPath.options, tls: try transport.serverOptions(),
                at: tcpAddress,
                http: httpAddress.isEmpty ? nil : httpAddress, logger)
        } catch {
            logger.critical("failed to instantiate nsqd - \(error)")
            throw ExitCode(1)
        }
        let signal = await signals.next()
        logger.info("\(signal ?? "stop"): exiting")
        await broker.stop()
        signals.stop()
    }
}

/// What can be chosen about the broker, by nsqd's flags; those of our own last.
struct BrokerFlags: ParsableArguments {
    @Option(help: "The largest message, in bytes.")
    var maxMsgSize = Limits.messageBytes

    @Option(help: "The largest body of an MPUB, IDENTIFY or AUTH, in bytes.")
    var maxBodySize = Limits.bodyBytes

    @Option(help: "The highest RDY count a client may ask for.")
    var maxRdyCount = Limits.readyCount

    @Option(help: "How long a consumer may hold a message before it goes to another.")
    var msgTimeout = GoDuration(argument: "60s")!

    @Option(help: "The longest message timeout a client may ask for or TOUCH up to.")
    var maxMsgTimeout = GoDuration(argument: "15m")!

    @Option(help: "The longest deferral, by REQ or DPUB.")
    var maxReqTimeout = GoDuration(argument: "1h")!

    @Option(help: "The longest heartbeat interval a client may ask for.")
    var maxHeartbeatInterval = GoDuration(argument: "60s")!

    @Option(help: "Consumers a channel may have; 0 is no limit.")
    var maxChannelConsumers = 0

    @Option(help: "Messages an ephemeral topic or channel holds; it drops further ones.")
    var memQueueSize = 10_000

    @Option(
        help: """
            (tally's own) Memory for queued messages, in bytes; publishers are refused beyond it. \
            By default half of what the machine has.
            """)
    var maxMemoryBytes: Int?

    var options: BrokerOptions {
        var options = BrokerOptions()
        options.maxMessageBytes = maxMsgSize
        options.maxBodyBytes = maxBodySize
        options.maxReadyCount = maxRdyCount
        options.messageTimeout = msgTimeout.duration
        options.maxMessageTimeout = maxMsgTimeout.duration
        options.maxRequeueTimeout = maxReqTimeout.duration
        options.maxHeartbeatInterval = maxHeartbeatInterval.duration
        options.maxChannelConsumers = maxChannelConsumers
        options.memoryQueueSize = memQueueSize
        options.maxMemoryBytes = maxMemoryBytes ?? Self.halfOfMemory
        return options
    }

    func validate() throws {
        let sizes = [
            ("max-msg-size", maxMsgSize, 1), ("max-body-size", maxBodySize, 9),
            ("max-rdy-count", maxRdyCount, 1), ("max-channel-consumers", maxChannelConsumers, 0),
            ("mem-queue-size", memQueueSize, 0), ("max-memory-bytes", maxMemoryBytes ?? 1, 1),
        ]
        // Lengths travel as signed 32-bit numbers.
        for (name, value, least) in sizes where value < least {
            throw ValidationError("--\(name) is at least \(least)")
        }
        for (name, value) in [("max-msg-size", maxMsgSize), ("max-body-size", maxBodySize)]
        where value > Int(Int32.max) / 2 {
            throw ValidationError("--\(name) is at most \(Int32.max / 2)")
        }
    }

    /// The options when no flag is given.
    static var defaults: BrokerOptions {
        var options = BrokerOptions()
        options.maxMemoryBytes = halfOfMemory
        return options
    }

    private static var halfOfMemory: Int {
        sysconf(Int32(_SC_PHYS_PAGES)) / 2 * sysconf(Int32(_SC_PAGESIZE))
    }
}
