import ArgumentParser
import HTTP
import LivePage
import Logging
import NSQBroker
import NSQClient
import PlayCounts
import PostgreSQL
import UVLoop

/// `tally process`: consumes plays from running nsqds, counts them, and publishes the counts.
struct ProcessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "process",
        abstract: "Consumes plays and publishes their counts, until SIGINT or SIGTERM.",
        discussion: """
            Counts are committed to the store before they are published, and published before \
            their messages are finished. A message that is not a valid play is published to the \
            topic TOPIC.rejected, together with the reason.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & nsqd=$!; sleep 1
                    tally process --nsqd-tcp-address=127.0.0.1:4150 --store=counts.sqlite \
                      --publish-to=stdout --publish-to=nsq://127.0.0.1:4150/counts &
                    tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=1000; sleep 1
                    tally counts --store=counts.sqlite --top=10
                    kill $! $nsqd
                    """#))

    @Option(
        help: ArgumentHelp(
            """
            A TOML file with these options, such as max_in_flight = 100. Options on the command \
            line override it.
            """, valueName: "file"))
    var config: String?

    @Option(
        name: .customLong("nsqd-tcp-address"),
        help: "The address of an nsqd, as HOST:PORT; repeatable.")
    var nsqds: [SocketAddress] = []

    @Option(
        name: .customLong("lookupd-http-address"),
        help: """
            The address of an nsqlookupd, as HOST:PORT, that reports the nsqds with the topic; \
            repeatable.
            """)
    var lookupds: [HTTPAddress] = []

    @Option(
        name: .customLong("nsqd-http-address"),
        help: """
            The address of the HTTP API of an nsqd, as HOST:PORT, whose statistics show how many \
            messages wait, and whether the channel has consumers with another store; repeatable.
            """)
    var nsqdHTTPs: [HTTPAddress] = []

    @OptionGroup(title: "Connections to nsqd, also to nsq:// of --publish-to")
    var connection: ConnectionOptions

    @OptionGroup(title: "Counting")
    var options: ProcessorOptions

    @OptionGroup(title: "Page")
    var pageOptions: PageOptions

    @OptionGroup var log: LogArguments

    /// Checks that an address is given. The check is not part of `validate()`, which ArgumentParser
    /// calls before it reports a misspelled option. A misspelled option is the probable cause of a
    /// missing address.
    private func expectAddress() throws {
        guard nsqds.isEmpty, lookupds.isEmpty else { return }
        throw ValidationError(
            "missing --nsqd-tcp-address=HOST:PORT or --lookupd-http-address=HOST:PORT (or run "
                + "tally serve, which includes a broker)")
    }

    func run() async throws {
        try expectAddress()
        let logger = log.logger("tally")
        let client = try connection.clientOptions(ofCommand: "process")
        try options.publishing.targets.checkFiles()
        if let database = try PostgreSQLConfiguration(store: options.store) {
            return try await run(client, database, logger)
        }
        try await PlayStore.withStore(.file(options.store)) { store in
            try await run(client, store, logger)
        }
    }

    private func run(
        _ client: ClientOptions, _ store: PlayStore, _ logger: Logger
    ) async throws {
        let signals = try await StopSignals.watch()
        try options.publishing.removeSecrets(from: store)
        let names = sourceNames
        let page = try await pageOptions.start(
            of: store, options.pageSettings(source: "nsqd at \(names)", nsqd: nsqds.first),
            logger: logger)
        var targets = options.publishing.targets
        targets.client = client
        var pipeline = options.pipeline(
            nsqds: nsqds, lookupds: lookupds.map(\.url), client: client, store: store,
            logger: logger)
        pipeline.nsqdHTTPs = nsqdHTTPs.map(\.url)
        if let page { pipeline.onQueueState = page.setQueueState }
        let processor = try await ProcessorHost.start(
            pipeline, shownBy: page
        ) { [targets] in try targets.clients(on: $0, logger) }
        logger.info("counting \(options.topic) from \(names) into \(options.store)")
        try await processor.run(until: signals, logger: logger)
        await page?.stop(reason: "tally process was stopped")
        await signals.stop()
    }

    /// Counts into a database, which other processes may use too.
    private func run(
        _ client: ClientOptions, _ database: PostgreSQLConfiguration, _ logger: Logger
    ) async throws {
        try pageOptions.expectNoPage(because: "counts in PostgreSQL have no page")
        let signals = try await StopSignals.watch()
        let input = PlayInput(
            nsqds: nsqds, lookupds: lookupds.map(\.url), nsqdHTTPs: nsqdHTTPs.map(\.url),
            client: client, topic: options.topic, channel: options.channel,
            maxInFlight: options.maxInFlight, maxAttempts: options.maxAttempts, logger: logger)
        var targets = options.publishing.targets
        targets.client = client
        let processor = try await SharedProcessorHost.start(
            input, from: sourceNames, database: database, targets: targets,
            settings: options.settings)
        try await processor.run(until: signals, logger: logger)
        await signals.stop()
    }

    /// The nsqds and nsqlookupds, for logs and the page.
    private var sourceNames: String {
        (nsqds.map(\.description) + lookupds.map { "reported by \($0.url.address)" })
            .joined(separator: ", ")
    }
}
