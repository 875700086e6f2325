import ArgumentParser
import Logging
import NSQBroker
import NSQClient
import UVLoop

/// `tally jobs serve`: runs a broker, the relay of a job store, the page and the HTTP API in one
/// process.
struct ServeJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs a broker, the relay of a job store, and the page with its HTTP API.",
        discussion: """
            Runs until SIGINT or SIGTERM. All addresses are loopback addresses by default, because \
            NSQ's protocol and the API have no passwords. The broker keeps its messages in \
            memory: the jobs are in the store, and what the broker loses is published again.

            The page at http://127.0.0.1:4190/jobs shows the jobs, queues and workers live.

            Jobs that arrive through the API are published at once. Jobs that another process \
            stores are published within --sweep-interval.
            """
                + HelpText.examples(
                    #"""
                    tally jobs serve --store=jobs.sqlite & sleep 1
                    curl --json '{"name":"greet","arguments":{"to":"Ada"}}' \
                      http://127.0.0.1:4190/api/jobs
                    tally jobs work --store=jobs.sqlite --until-empty -- cat
                    curl http://127.0.0.1:4190/api/jobs/1
                    kill $!
                    """#))

    @Option(help: "The SQLite file with the jobs.")
    var store = "jobs.sqlite"

    @Option(help: "The address of the broker, as HOST:PORT; port 0 picks a free port.")
    var tcpAddress = SocketAddress(host: "127.0.0.1", port: 4150)

    @OptionGroup var api: JobsAPIOptions

    @OptionGroup var log: LogArguments

    func run() async throws {
        let logger = log.logger("tally")
        let signals = try await StopSignals.watch()
        let broker = try await startBroker()
        do {
            let nsqd = try SocketAddress(parsing: broker.tcpAddress).reachable
            let service = try await JobsService.start(
                api.settings(store: store, client: ClientOptions(ofCommand: "jobs")), nsqd: nsqd,
                nsqdStartsEmpty: true, logger)
            logger.info("publishing jobs of \(store) to \(nsqd)")
            if let name = await signals.next() { logger.info("\(name): stopping") }
            await service.stop()
        } catch {
            await broker.stop()
            throw error
        }
        await broker.stop()
        await signals.stop()
    }

    private func startBroker() async throws -> EmbeddedBroker {
        var options = BrokerConfiguration.defaults
        options.addresses.tcp = tcpAddress.description
        options.addresses.http = ""
        options.disk.isMemoryOnly = true
        options.busyPoll = .zero
        do {
            return try await EmbeddedBroker.start(options, log.logger("nsqd"))
        } catch {
            throw UsageError(startingBroker: error)
        }
    }
}

/// The options of the relay and the HTTP API of background jobs.
struct JobsAPIOptions: ParsableArguments {
    @Option(
        help: """
            The address of the page and the HTTP API of the jobs, as HOST:PORT, or none; port 0 \
            picks a free port.
            """)
    var apiAddress = "127.0.0.1:4190"

    @Option(
        help: """
            A host name under which the API answers, besides localhost and numeric addresses; \
            repeatable.
            """)
    var apiHost: [String] = []

    @Option(
        durationHelp: "The maximum time until a job that another process has stored is published.")
    var sweepInterval = GoDuration(argument: "100ms")!

    @OptionGroup var relay: RelayOptions

    @OptionGroup(title: "Deletion of ended jobs")
    var pruning: PruningOptions

    func validate() throws {
        guard apiAddress == "none" || SocketAddress(argument: apiAddress) != nil else {
            throw ValidationError(
                "invalid --api-address '\(apiAddress)': use HOST:PORT, such as 127.0.0.1:4190, or none"
            )
        }
        try require("--sweep-interval", sweepInterval, atLeast: "10ms")
        guard sweepInterval.duration <= .seconds(60) else {
            throw ValidationError("--sweep-interval must be at most 1m, not \(sweepInterval)")
        }
    }

    func settings(store: String, client: ClientOptions) -> JobsService.Settings {
        JobsService.Settings(
            store: store, apiAddress: SocketAddress(argument: apiAddress), apiHosts: apiHost,
            sweepInterval: sweepInterval.duration, republishDelay: relay.republishDelay.duration,
            pruning: pruning.pruning, client: client)
    }
}

/// The options of a relay, for every command that has one.
struct RelayOptions: ParsableArguments {
    @Option(
        durationHelp: """
            The time after which a published job that no worker has taken is published again, \
            because nsqd may have lost the message. It doubles with each repetition.
            """)
    var republishDelay = GoDuration(argument: "15s")!

    func validate() throws {
        try require("--republish-delay", republishDelay, atLeast: "100ms")
        guard republishDelay.duration <= .seconds(3600) else {
            throw ValidationError("--republish-delay must be at most 1h, not \(republishDelay)")
        }
    }
}
