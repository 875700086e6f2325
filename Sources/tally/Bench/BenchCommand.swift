import ArgumentParser
import GoFlags
import NSQBroker
import NSQWire
import Transport
import UVLoop

/// `tally bench`: measures the throughput and latency of one nsqd, or compares two.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures an nsqd, or compares two.",
        discussion: """
            The workloads: publish batches (MPUB of 200 messages with 200 bytes), consume them \
            with FIN, publish single messages (PUB, 200 unanswered), consume with one write per \
            FIN, consume with RDY 1, publish and consume concurrently, and the latency of single \
            messages at default settings. Each workload is limited in time and messages. Two nsqds \
            are measured alternately in one run, and the medians are compared. Empty topics named \
            tally_bench_… remain.

            Without --nsqd-tcp-address an embedded broker is measured. It accepts every flag of \
            tally nsqd, in the form --flag=value.

            The first MPUB round is reported apart, because a new broker still allocates memory.

            A real nsqd writes messages beyond --mem-queue-size to disk. To compare memory with \
            memory, start it with --mem-queue-size=10000000; to compare disk with disk, with 0.

            The exit status is 0 after a complete measurement, 1 if it failed, and 64 for an \
            invalid command line.
            """
                + HelpText.examples(
                    #"""
                    tally bench
                    tally bench --data-path=messages --sync=always --connections=4
                    tally nsqd --tcp-address=127.0.0.1:5150 --memory-only & sleep 1
                    tally bench --nsqd-tcp-address=127.0.0.1:5150 --snappy
                    tally bench --against=127.0.0.1:5150
                    kill $!
                    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 9 \
                      -keyout key.pem -out cert.pem
                    tally bench --tls --deflate --tls-cert=cert.pem --tls-key=key.pem
                    """#))

    @Option(help: "The address of the nsqd to measure, as HOST:PORT.")
    var nsqdTcpAddress: SocketAddress?

    @Option(help: "The address of a second nsqd with which the first is compared.")
    var against: SocketAddress?

    @Option(help: "The number of connections that publish.")
    var connections = 1

    @Flag(help: "Use TLS. Certificates are not verified.")
    var tls = false

    @Flag(help: "Compress with deflate, level 6.")
    var deflate = false

    @Flag(help: "Compress with snappy.")
    var snappy = false

    @Option(help: "The duration of each publishing workload, in seconds.")
    var seconds = 1.0

    @Option(help: "The maximum number of messages per workload.")
    var maxMessages = 2_000_000

    @Option(help: "The number of rounds; medians are reported.")
    var rounds = 3

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "Flags of tally nsqd for the embedded broker, such as --data-path and --sync.",
            valueName: "nsqd-flags"))
    var brokerFlags: [String] = []

    func validate() throws {
        guard seconds > 0, seconds <= 60 else {
            throw ValidationError("--seconds must be greater than 0 and at most 60")
        }
        guard (1...10_000_000).contains(maxMessages) else {
            throw ValidationError("--max-messages must be between 1 and 10000000")
        }
        guard (1...99).contains(rounds) else {
            throw ValidationError("--rounds must be between 1 and 99")
        }
        guard (1...1_000).contains(connections) else {
            throw ValidationError("--connections must be between 1 and 1000")
        }
        guard !deflate || !snappy else {
            throw ValidationError("--deflate and --snappy cannot be combined")
        }
        try validateBroker()
    }

    private func validateBroker() throws {
        let flags = try parsedFlags()
        if nsqdTcpAddress == nil {
            guard !tls || !flags.values.tls.certificateFile.isEmpty else {
                throw ValidationError(
                    "--tls needs --tls-cert and --tls-key for the embedded broker, or the "
                        + "--nsqd-tcp-address of an nsqd with TLS")
            }
        } else if let flag = flags.given.sorted().first {
            throw ValidationError(
                "--\(flag) applies to the embedded broker only (remove --nsqd-tcp-address)")
        }
    }

    private func parsedFlags() throws -> FlagSet<ServerOptions>.Parsed {
        var defaults = BrokerConfiguration.defaults
        defaults.addresses.tcp = "127.0.0.1:0"
        defaults.addresses.http = ""
        defaults.addresses.https = ""
        defaults.log.level = .error
        return try FlagSet(name: "bench", command: Self.self).parse(
            brokerFlags, over: defaults, of: self)
    }

    func run() async throws {
        let transport = try BenchTransport(
            tls: tls, compression: deflate ? .deflate : snappy ? .snappy : nil)
        let broker = nsqdTcpAddress == nil ? try await startBroker(transport) : nil
        let outcome = Result { try measure(try targets(broker), transport) }
        await broker?.stop()
        let report = try outcome.get()
        print(json ? try report.json : report.table)
    }

    private func startBroker(_ transport: BenchTransport) async throws -> EmbeddedBroker {
        // Connects first, so that an unreachable nsqd is reported before the broker creates its
        // data path.
        for target in try targets(nil) { try workloads(target, transport).connectOnce() }
        let configuration = try BrokerConfiguration(try parsedFlags())
        do {
            return try await configuration.startBroker()
        } catch {
            throw UsageError(startingBroker: error)
        }
    }

    private func targets(_ broker: EmbeddedBroker?) throws -> [BenchTarget] {
        let embedded = try broker.map {
            BenchTarget("embedded", try SocketAddress(parsing: $0.tcpAddress).reachable)
        }
        let others = [nsqdTcpAddress, against].compactMap { $0 }
        return [embedded].compactMap { $0 } + others.map { BenchTarget($0.description, $0) }
    }

    private func workloads(_ target: BenchTarget, _ transport: BenchTransport) -> BenchWorkloads {
        BenchWorkloads(
            target: target, transport: transport, connections: connections, seconds: seconds,
            maxMessages: maxMessages)
    }

    private func measure(
        _ targets: [BenchTarget], _ transport: BenchTransport
    ) throws -> BenchReport {
        let workloads = targets.map { self.workloads($0, transport) }
        var results = targets.map { _ in BenchResults() }
        for workload in workloads { try workload.connectOnce() }
        for round in 1...rounds {
            for (index, target) in targets.enumerated() {
                StandardError.print("round \(round) of \(rounds): \(target.name)")
                try workloads[index].runAll(&results[index])
            }
        }
        return BenchReport(
            targets: targets.map(\.name), results: results, transport: transport,
            connections: connections)
    }
}

/// An nsqd to measure.
struct BenchTarget {
    /// The name in the report.
    let name: String
    let address: SocketAddress

    init(_ name: String, _ address: SocketAddress) {
        self.name = name
        self.address = address
    }
}

extension BenchWorkloads {
    /// Runs every workload once and appends the results.
    fileprivate func runAll(_ results: inout BenchResults) throws {
        let name = "tally_bench_\(UInt32.random(in: 0 ... .max))"
        let batches = TopicName(name + "_mpub")!
        let batched = try multiPublish(to: batches)
        results.multiPublish.append(batched.perSecond)
        results.consume.append(try consume(batched.messages, from: batches).perSecond)

        let singles = TopicName(name + "_pub")!
        let single = try publish(to: singles)
        results.publish.append(single.perSecond)
        let oneByOne = BenchConsumer.FinishMode.singly(ready: BenchConsumer.readyCount)
        results.consumeSingly.append(
            try consume(single.messages, from: singles, oneByOne).perSecond)

        let small = TopicName(name + "_few")!
        let backlog = try multiPublish(to: small, maxMessages: 10_000)
        results.consumeReady1.append(
            try consume(backlog.messages, from: small, .singly(ready: 1)).perSecond)

        let both = try both(on: TopicName(name + "_both")!)
        results.bothPublished.append(both.published.perSecond)
        results.bothConsumed.append(both.consumed.perSecond)
        results.latency.append(
            try latency(on: TopicName(name + "_lone")!, messages: min(1_000, maxMessages)))
    }
}
