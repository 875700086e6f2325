import ArgumentParser
import LivePage
import Logging
import NSQBroker
import PlayCounts
import UVLoop

/// `tally process`: takes plays from running nsqds, counts them, publishes the counts.
struct ProcessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "process",
        abstract: "Consumes plays and publishes their counts, until SIGINT or SIGTERM.",
        discussion: """
            Counts are committed to the store before they are published, and published before \
            their messages are finished. A message that is no play goes to the topic of the same \
            name with .rejected behind it, with the reason.

            EXAMPLES
              tally process --nsqd-tcp-address=127.0.0.1:4150 --store=counts.sqlite
              tally process --nsqd-tcp-address=10.0.0.1:4150 --nsqd-tcp-address=10.0.0.2:4150
              tally process --nsqd-tcp-address=127.0.0.1:4150 --publish-to=stdout \\
                --publish-to=https://counts.example/plays --publish-to=nsq://127.0.0.1:4150/counts
            """)

    @Option(name: .customLong("nsqd-tcp-address"), help: "An nsqd, as HOST:PORT; repeatable.")
    var nsqds: [SocketAddress] = []

    @OptionGroup(title: "Counting")
    var flags: ProcessorFlags

    @OptionGroup(title: "Page")
    var pageFlags: PageFlags

    @Option(help: "What to log: debug, info, warn, error or fatal.")
    var logLevel = LogLevel.info

    func validate() throws {
        guard !nsqds.isEmpty else {
            throw ValidationError(
                "no nsqd: give --nsqd-tcp-address=HOST:PORT, or let tally serve bring its own")
        }
    }

    func run() async throws {
        let logger = LineLog.logger("tally", logLevel)
        let signals = try await StopSignals.watch()
        let store = try PlayStore(.file(flags.store))
        let names = nsqds.map(\.description).joined(separator: ", ")
        let page = try await pageFlags.start(
            of: store, flags.pageSettings(source: "nsqd at \(names)"), logger: logger)
        let processor = try await RunningProcessor.start(
            flags.assembly(nsqds: nsqds, store: store, logger: logger), shownBy: page
        ) { [targets = flags.publishing.targets] in try targets.clients(on: $0, logger) }
        logger.info("counting \(flags.topic) from \(names) into \(flags.store)")
        try await processor.run(until: signals, logger: logger)
        await page?.stop()
    }
}
