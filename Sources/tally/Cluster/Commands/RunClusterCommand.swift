import ArgumentParser
import GoFlags
import HTTP
import LivePage
import NSQAdmin
import NSQBroker
import UVLoop

/// `tally cluster run`: starts the nodes, and runs until a signal or `quit`.
struct RunClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Starts the nodes, and runs until SIGINT, SIGTERM or the line quit.",
        discussion: """
            Accepts every flag of tally nsqd for the nsqds, in the form --flag=value, except \
            addresses; see tally nsqd --help. The nsqds register at the nsqlookupds.
            """
                + HelpText.examples(
                    #"""
                    tally cluster run --nsqd=2 --lookupd=1 --nsqd-port=4150 < /dev/null & sleep 1
                    tally pub plays hello
                    tally stat
                    kill $!
                    """#))

    @Option(help: "The number of nsqds, at most 100.")
    var nsqd = 3

    @Option(help: "The number of nsqlookupds, at most 20.")
    var lookupd = 2

    @Option(
        help: """
            The TCP port of the first nsqd. Its HTTP API has the next port, and each further nsqd \
            ports that are 10 higher. Default: free ports.
            """)
    var nsqdPort: Int?

    @Option(
        help:
            "The TCP port of the first nsqlookupd, with the same rule. Default: free ports.")
    var lookupdPort: Int?

    @Flag(help: "Also start an nsqadmin, which shows the topics of the nodes in a browser.")
    var admin = false

    @Option(help: "The port of the nsqadmin, which implies --admin. Default: a free port.")
    var adminPort: Int?

    @Option(
        help: ArgumentHelp(
            """
            The folder for the data of the nodes, which is created if it does not exist. Default: \
            messages and registrations are stored in memory only.
            """, valueName: "folder"))
    var dataPath: String?

    @Option(
        help: ArgumentHelp(
            """
            The address at which tally cluster stop and the other subcommands reach this process; \
            with port 0 a free one.
            """, valueName: "host:port"))
    var controlAddress = ClusterAPI.defaultAddress

    @Flag(help: "Print the nodes as one JSON object.")
    var json = false

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Flags of tally nsqd, such as --max-rdy-count.", valueName: "nsqd-flags")
    )
    var brokerFlags: [String] = []

    private static let fixedFlags = [
        "tcp-address", "http-address", "https-address", "broadcast-address",
        "broadcast-tcp-port", "broadcast-http-port", "data-path", "memory-only", "config",
    ]

    func validate() throws {
        try require(1...100, nsqd, "--nsqd")
        try require(0...20, lookupd, "--lookupd")
        // The ports of the last node must be valid port numbers too.
        try require(1...(65_534 - 10 * (nsqd - 1)), nsqdPort ?? 1, "--nsqd-port")
        try require(1...(65_534 - 10 * max(0, lookupd - 1)), lookupdPort ?? 1, "--lookupd-port")
        try require(1...65_535, adminPort ?? 1, "--admin-port")
        let nsqds = Set(ports(from: nsqdPort, of: nsqd))
        guard nsqds.isDisjoint(with: ports(from: lookupdPort, of: lookupd)) else {
            throw ValidationError(
                "the ports from --nsqd-port and those from --lookupd-port overlap: each node has two, "
                    + "and the next one's are 10 higher")
        }
        _ = try parsedFlags()
    }

    private func ports(from first: Int?, of count: Int) -> [Int] {
        guard let first else { return [] }
        return (0..<count).flatMap { [first + $0 * 10, first + $0 * 10 + 1] }
    }

    private func require(_ range: ClosedRange<Int>, _ value: Int, _ option: String) throws {
        guard range.contains(value) else {
            throw ValidationError(
                "\(option) must be between \(range.lowerBound) and \(range.upperBound)")
        }
    }

    private func parsedFlags() throws -> FlagSet<ServerOptions>.Parsed {
        var defaults = BrokerConfiguration.besideProcessorDefaults
        defaults.log.level = .warn
        let parsed = try FlagSet(name: "cluster", command: Self.self).parse(
            brokerFlags, over: defaults, of: self)
        if let flag = Self.fixedFlags.first(where: { parsed.given.contains($0) }) {
            throw ValidationError("--\(flag) cannot be set for the nsqds of a cluster")
        }
        return parsed
    }

    func run() async throws {
        let control: SocketAddress
        do {
            control = try SocketAddress(parsing: controlAddress)
        } catch {
            throw UsageError("invalid --control-address '\(controlAddress)': \(error)")
        }
        guard HostNames.isLoopback(address: control.host) else {
            throw UsageError("--control-address must be a loopback address, such as 127.0.0.1:4169")
        }
        var settings = LocalCluster.Settings(
            nsqdCount: nsqd, lookupdCount: lookupd, nsqdPort: nsqdPort, lookupdPort: lookupdPort,
            dataPath: dataPath)
        settings.broker = try BrokerConfiguration(try parsedFlags()).options
        let signals = try await StopSignals.watch()
        let cluster = LocalCluster(settings)
        let (api, bound) = try await startAPI(cluster, at: control)
        let adminServer: EmbeddedAdmin?
        do {
            adminServer = try await start(cluster, controlledAt: bound)
        } catch {
            await api.stop()
            throw error
        }
        await ClusterPrompt(cluster).run(until: signals)
        await api.stop()
        await adminServer?.stop()
        await cluster.stop()
        await signals.stop()
    }

    private func startAPI(
        _ cluster: LocalCluster, at address: SocketAddress
    ) async throws -> (LoopHost<ClusterAPI>, SocketAddress) {
        do {
            return try await ClusterAPI.start(cluster, at: address)
        } catch {
            throw UsageError(
                "cannot listen at \(address): \(error) (pass another --control-address, such as "
                    + "127.0.0.1:0)")
        }
    }

    /// Starts the nodes, and prints them.
    ///
    /// - Returns: the nsqadmin; `nil` if it was not requested.
    private func start(
        _ cluster: LocalCluster, controlledAt address: SocketAddress
    ) async throws -> EmbeddedAdmin? {
        do {
            try await cluster.start()
        } catch {
            throw UsageError(
                "\(error) (free ports are used without --nsqd-port and --lookupd-port)")
        }
        let nodes = await cluster.descriptions
        let server: EmbeddedAdmin?
        do throws(AdminStartError) {
            server = try await startAdmin(of: nodes)
        } catch {
            await cluster.stop()
            throw UsageError("cannot start nsqadmin: \(error) (pass another --admin-port)")
        }
        let url = server.map { "http://\($0.httpAddress)/topics" }
        print(
            json
                ? String(decoding: ClusterText.json(nodes, adminURL: url), as: UTF8.self)
                : ClusterText.table(nodes))
        if let url { StandardError.print("admin: \(url)") }
        StandardError.print(
            "control: tally cluster stop nsqd-1 --control-address=\(address), or type help")
        return server
    }

    /// Starts an nsqadmin if one was requested. It finds the nsqds through the nsqlookupds, or by
    /// their addresses if the cluster has no nsqlookupd.
    private func startAdmin(
        of nodes: [ClusterNode.Description]
    ) async throws(AdminStartError) -> EmbeddedAdmin? {
        guard admin || adminPort != nil else { return nil }
        var options = AdminOptions()
        options.httpAddress = "127.0.0.1:\(adminPort ?? 0)"
        options.log.level = .warn
        let addresses = Dictionary(grouping: nodes, by: \.kind).mapValues { $0.map(\.httpAddress) }
        options.lookupds = addresses[.nsqlookupd] ?? []
        if options.lookupds.isEmpty { options.nsqds = addresses[.nsqd] ?? [] }
        return try await EmbeddedAdmin.start(
            options, logger: LineLog.logger("nsqadmin", options.log.level))
    }
}
