import ArgumentParser
import GoFlags
import HTTP
import LivePage
import Logging
import NSQAdmin
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// `tally serve`: runs the broker and the processor in one process.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the broker and the processor together, until SIGINT or SIGTERM.",
        discussion: """
            Accepts every flag of tally nsqd for the broker, in the form --flag=value; see \
            tally nsqd --help. Listens on loopback addresses unless a flag says otherwise: \
            127.0.0.1:4150 for NSQ's protocol and 127.0.0.1:4151 for the HTTP API, which is \
            skipped if its default port is in use. With --tls-required, the processor connects \
            over TLS with the broker's own certificate. Messages are stored in memory only unless \
            --data-path is given.
            """
                + HelpText.examples(
                    #"""
                    tally serve --data-path=messages --store=counts.sqlite & sleep 1
                    tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=1000 --rate=500
                    curl http://127.0.0.1:4180/api/videos
                    tally counts --store=counts.sqlite --top=10
                    kill $!
                    """#))

    @Option(
        help: ArgumentHelp(
            """
            A TOML file with these options and those of tally nsqd, such as max_in_flight = 100. \
            Options on the command line override it.
            """, valueName: "file"))
    var config: String?

    @OptionGroup(title: "Counting")
    var counting: ProcessorOptions

    @OptionGroup(title: "Page")
    var pageOptions: PageOptions

    @Option(
        help: ArgumentHelp(
            """
            Also publish the background jobs of this SQLite file, and serve their HTTP API and \
            their page, as tally jobs serve does. The page is at the address of the counts, too.
            """, valueName: "file"))
    var jobs: String?

    @OptionGroup(title: "Background jobs (with --jobs)")
    var jobsAPI: JobsAPIOptions

    @Option(
        help: """
            The secret with which the processor authenticates at the broker, if \
            --auth-http-address is given. Default: the environment variable \
            \(SecretVariables.authSecretName).
            """)
    var nsqdAuthSecret: String?

    @Option(
        name: .customLong("nsqd-tls-cert"),
        help: """
            A PEM file with the client certificate of the processor, if --tls-client-auth-policy \
            requires one. Default: the broker's certificate.
            """)
    var processorTLSCertificate: String?

    @Option(
        name: .customLong("nsqd-tls-key"),
        help: """
            A PEM file with the private key of the processor's certificate. Default: the file of \
            --nsqd-tls-cert.
            """)
    var processorTLSKey: String?

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "Flags of tally nsqd, such as --tcp-address (default: 127.0.0.1:4150).",
            valueName: "nsqd-flags"))
    var brokerFlags: [String] = []

    func validate() throws {
        try validateTLS(certificate: processorTLSCertificate, key: processorTLSKey)
        _ = try parsedFlags()
    }

    /// Returns the options of the broker, from the command line and the configuration file.
    func parsedFlags() throws -> FlagSet<ServerOptions>.Parsed {
        var parsed = try parsedCommandLine()
        let file = parsed.values.process.configFile
        parsed.values.process.configFile = ""
        if !file.isEmpty { try parsed.apply(ConfigFile(path: file)) }
        // Counting does not need the HTTP API. So a default address that cannot be used is skipped.
        // Only an address on the command line or in the file must be available.
        let defaults = Self.defaultAddresses
        parsed.values.addresses.optional = Set(
            [("http-address", defaults.http), ("https-address", defaults.https)]
                .filter { !parsed.given.contains($0.0) }.map(\.1))
        return parsed
    }

    /// Returns the options of the broker from the command line alone. They include the path of the
    /// configuration file, which is not read here.
    private func parsedCommandLine() throws -> FlagSet<ServerOptions>.Parsed {
        var defaults = BrokerConfiguration.besideProcessorDefaults
        defaults.addresses = Self.defaultAddresses
        var parsed = try FlagSet(name: "serve", command: Self.self).parse(
            brokerFlags, over: defaults, of: self)
        // ArgumentParser does not recognize `-config`.
        if let config { parsed.values.process.configFile = config }
        return parsed
    }

    private static var defaultAddresses: AddressOptions {
        var addresses = ServerOptions().addresses
        addresses.tcp = "127.0.0.1:4150"
        addresses.http = "127.0.0.1:4151"
        addresses.https = "127.0.0.1:4152"
        return addresses
    }

    func run() async throws {
        let configuration = try BrokerConfiguration(
            try parsedFlags(), levelFile: BrokerConfiguration.levelFile(try parsedCommandLine()))
        // The TCP address is checked before any file is created. It must not be the path of a
        // Unix-domain socket, because the processor connects to the broker by TCP.
        _ = try SocketAddress(parsing: configuration.options.addresses.tcp)
        let client = try configuration.ownClientOptions(
            authSecret: nsqdAuthSecret ?? SecretVariables.authSecret,
            certificate: processorTLSCertificate.map { ($0, processorTLSKey) })
        let logger = configuration.logger(named: "tally")
        try PlayStore.expectFile(counting.store, of: "tally serve")
        try counting.publishing.targets.checkFiles()
        try await PlayStore.withStore(.file(counting.store)) { store in
            try await run(configuration, client, store, logger)
        }
    }

    private func run(
        _ configuration: BrokerConfiguration, _ client: ClientOptions, _ store: PlayStore,
        _ logger: Logger
    ) async throws {
        let signals = try await StopSignals.watch()
        try counting.publishing.removeSecrets(from: store)
        // The page is started first, so that the broker does not create its data path if the page
        // cannot be started.
        let page = try await pageOptions.start(
            of: store, counting.pageSettings(source: "embedded broker", nsqd: nil), logger: logger)
        let reload = try await BrokerReload.watch(
            configuration, keepsCertificate: client.tls != nil, logger)
        let broker = try await startBroker(configuration)
        signals.reportProgress { broker.submit($0) }
        await reload.start(broker)
        do {
            let jobs = try await startJobs(
                broker, startsEmpty: configuration.options.disk.folder == nil, client, logger)
            if let jobs, let page {
                page.add(jobs.page)
                logger.info("the jobs are shown at \(page.jobsURL)")
            }
            let topics = try startTopics(broker, page, logger)
            do {
                try await count(from: broker, into: store, client, page, until: signals, logger)
            } catch {
                await topics?.stop()
                await jobs?.stop()
                throw error
            }
            await topics?.stop()
            await jobs?.stop()
            await page?.stop(reason: "tally serve was stopped")
        } catch {
            await broker.stop()
            throw error
        }
        await broker.stop()
        await signals.stop()
    }

    private func startJobs(
        _ broker: EmbeddedBroker, startsEmpty: Bool, _ client: ClientOptions, _ logger: Logger
    ) async throws -> JobsService? {
        guard let jobs else { return nil }
        let nsqd = try SocketAddress(parsing: broker.tcpAddress).reachable
        return try await JobsService.start(
            jobsAPI.settings(store: jobs, client: client), nsqd: nsqd,
            nsqdStartsEmpty: startsEmpty, logger)
    }

    /// Adds the pages of topics and nodes to the page's server. They are read-only unless the
    /// server is at a loopback address: people who reach it from other machines may see the counts,
    /// but must not delete topics.
    ///
    /// - Returns: `nil` if there is no page, or if the broker has no HTTP API at a TCP address.
    private func startTopics(
        _ broker: EmbeddedBroker, _ page: LivePage?, _ logger: Logger
    ) throws -> TopicsPage? {
        guard let page, let http = broker.httpAddress,
            let address = try? SocketAddress(parsing: http)
        else { return nil }
        var options = AdminOptions()
        options.nsqds = ["\(address.reachable)"]
        options.log.level = .warn
        options.isReadOnly = !HostNames.isLoopback(address: page.address.host)
        let topics = try TopicsPage(options, logger: logger)
        page.add(topics)
        logger.info("the topics are shown at \(page.topicsURL)")
        return topics
    }

    private func startBroker(_ configuration: BrokerConfiguration) async throws -> EmbeddedBroker {
        do {
            return try await configuration.startBroker()
        } catch {
            throw UsageError(
                startingBroker: error, orUse: "tally process --nsqd-tcp-address")
        }
    }

    private func count(
        from broker: EmbeddedBroker, into store: PlayStore, _ client: ClientOptions,
        _ page: LivePage?, until signals: StopSignals, _ logger: Logger
    ) async throws {
        let address = try SocketAddress(parsing: broker.tcpAddress)
        page?.setSource(
            of: counting.pageSettings(
                source: "embedded broker at \(address)", nsqd: address.reachable))
        var targets = counting.publishing.targets
        targets.client = ClientOptions(ofCommand: "serve")
        let queuePolling = page?.startQueuePolling(
            broker, topic: counting.topic.text, channel: counting.channel.text)
        defer { queuePolling?.cancel() }
        var pipeline = counting.pipeline(
            nsqds: [address.reachable], client: client, store: store, logger: logger)
        // The HTTP API may be at a Unix domain socket, which has no URL. Then its statistics are
        // not polled.
        if let http = broker.httpAddress, let url = try? HTTPURL(lookupd: http) {
            pipeline.nsqdHTTPs = [url]
        }
        let processor = try await ProcessorHost.start(
            pipeline, shownBy: page
        ) { [targets] in try targets.clients(on: $0, logger) }
        logger.info("counting \(counting.topic) into \(counting.store)")
        logger.info(
            "to watch: nsq_tail --nsqd-tcp-address=\(address.reachable) --topic=\(counting.topic)")
        try await processor.run(until: signals, outlivesStore: true, logger: logger)
    }
}
