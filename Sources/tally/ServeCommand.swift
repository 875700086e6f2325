import ArgumentParser
import LivePage
import Logging
import NSQBroker
import NSQWire
import PlayCounts
import UVLoop

/// `tally serve`: broker and processor in one process.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the broker and the processor together, until SIGINT or SIGTERM.",
        discussion: """
            Takes every flag of tally nsqd as well, in the form --flag=value, for its broker: see \
            tally nsqd --help. The HTTP API is served only if --http-address says where.

            EXAMPLES
              tally serve --tcp-address=127.0.0.1:4150 --store=counts.sqlite
              tally serve --data-path=messages --store=counts.sqlite
              tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=1000 --rate=100
            """)

    @OptionGroup(title: "Counting")
    var counting: ProcessorFlags

    @OptionGroup(title: "Page")
    var pageFlags: PageFlags

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "The broker's flags, --tcp-address (127.0.0.1:4150 unless given) among them.",
            valueName: "nsqd-flags"))
    var brokerFlags: [String] = []

    func validate() throws { _ = try parsedFlags() }

    private func parsedFlags() throws -> FlagSet.Parsed {
        var defaults = BrokerStart.besideProcessor
        defaults.addresses.tcp = "127.0.0.1:4150"
        defaults.addresses.http = ""
        return try FlagSet(name: "serve").parse(brokerFlags, over: defaults, of: self)
    }

    func run() async throws {
        let start = try BrokerStart(try parsedFlags())
        // The processor comes in by TCP.
        _ = try SocketAddress(parsing: start.options.addresses.tcp)
        let logger = LineLog.logger("tally", start.options.log.level)
        let signals = try await StopSignals.watch()
        let store = try PlayStore(.file(counting.store))
        let broker = try await start.start()
        let address = try SocketAddress(parsing: broker.tcpAddress)
        let page = try await pageFlags.start(
            of: store, counting.pageSettings(source: "the embedded broker at \(address)"),
            logger: logger)
        let watch = page?.watch(broker, topic: counting.topic.text, channel: counting.channel.text)
        defer { watch?.cancel() }
        let processor = try await RunningProcessor.start(
            counting.assembly(nsqds: [address.reachable], store: store, logger: logger),
            shownBy: page
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
        await page?.stop()
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
