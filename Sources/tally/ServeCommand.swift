import ArgumentParser
import Logging
import NSQBroker
import PlayCounts
import UVLoop

/// `tally serve`: broker and processor in one process.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the broker and the processor together, until SIGINT or SIGTERM.",
        discussion: """
            EXAMPLES
              tally serve --tcp-address=127.0.0.1:4150 --store=counts.sqlite
              tally serve --data-path=messages --store=counts.sqlite
              tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=1000 --rate=100
            """)

    @Option(help: "Where to listen for clients, as HOST:PORT; port 0 is any free one.")
    var tcpAddress = "127.0.0.1:4150"

    @OptionGroup(title: "Counting")
    var counting: ProcessorFlags

    @OptionGroup(title: "Broker")
    var brokerFlags: BrokerFlags

    @OptionGroup(title: "Data path")
    var dataPath: DataPathFlags

    @Option(help: "What to log: debug, info, warn, error or fatal.")
    var logLevel = LogLevel.info

    func run() async throws {
        let logger = LineLog.logger("tally", logLevel)
        let signals = try await StopSignals.watch()
        let store = try PlayStore(.file(counting.store))
        let broker = try await EmbeddedBroker.start(
            brokerFlags.options, dataPath: dataPath.options, at: tcpAddress, LineLog.logger("nsqd", logLevel))
        let address = try SocketAddress(parsing: broker.tcpAddress)
        let processor = try await RunningProcessor.start(
            counting.assembly(nsqds: [address.reachable], store: store, logger: logger)
        ) { [targets = counting.publishing.targets] in try targets.clients(on: $0, logger) }
        logger.info("counting \(counting.topic) into \(counting.store); watch it with")
        logger.info(
            "nsq_tail --nsqd-tcp-address=\(address.reachable) --topic=\(counting.topic)")
        do {
            try await processor.run(until: signals, logger: logger)
        } catch {
            await broker.stop()
            throw error
        }
        await broker.stop()
    }
}

extension SocketAddress {
    /// Where a client on this machine reaches who listens here: every interface is none to it.
    var reachable: SocketAddress {
        switch host {
        case "0.0.0.0": SocketAddress(host: "127.0.0.1", port: port)
        case "::": SocketAddress(host: "::1", port: port)
        default: self
        }
    }
}
