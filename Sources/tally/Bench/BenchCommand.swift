import ArgumentParser
import NSQBroker
import NSQWire
import Transport
import UVLoop

/// `tally bench`: how fast an nsqd is, ours or a real one, by itself or beside another.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures an nsqd, or two side by side.",
        discussion: """
            Publishes batches (MPUB, 200 × 200 bytes), consumes them with FIN, publishes singly \
            (PUB, 200 under way), consumes with a write for each FIN, and with RDY 1, publishes \
            and consumes at once, and times lone messages at default settings. Each load is \
            bounded in time or number; two nsqds take turns in one run, and the medians are \
            compared. Topics named tally_bench_… stay behind, empty.

            Without --nsqd-tcp-address a broker is started here for as long as it takes, and \
            every flag of tally nsqd may be given for it, in the form --flag=value.

            The first MPUB round meets a broker's memory as it is: cold, if it was just started.

            EXAMPLES
              tally bench --nsqd-tcp-address=127.0.0.1:4150
              tally bench --against=127.0.0.1:5150
              tally bench --data-path=messages --sync=always --connections=4 \\
                  --against=127.0.0.1:5150
              tally bench --tls --snappy --tls-cert=cert.pem --tls-key=key.pem

            A real nsqd moves messages beyond --mem-queue-size to disk: start it with \
            --mem-queue-size=10000000 to compare memory with memory, with 0 for disk with disk.

            The exit status is 0 if all was measured, 1 if it could not be, and 64 for a command \
            line that is none.
            """)

    @Option(help: "The nsqd to measure, as HOST:PORT.")
    var nsqdTcpAddress: SocketAddress?

    @Option(help: "A second nsqd to measure in turn, and to state ratios against.")
    var against: SocketAddress?

    @Option(help: "How many connections publish at once.")
    var connections = 1

    @Flag(help: "Go through TLS. Certificates are not looked at.")
    var tls = false

    @Flag(help: "Have everything compressed by deflate, level 6.")
    var deflate = false

    @Flag(help: "Have everything compressed by snappy.")
    var snappy = false

    @Option(help: "How long each load publishes, in seconds.")
    var seconds = 1.0

    @Option(help: "How many messages a load publishes at the most.")
    var maxMessages = 2_000_000

    @Option(help: "How often everything is measured; medians are taken.")
    var rounds = 3

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "Flags for the broker that is started here, --data-path and --sync among them.",
            valueName: "nsqd-flags"))
    var brokerFlags: [String] = []

    func validate() throws {
        guard seconds > 0, seconds <= 60 else {
            throw ValidationError("--seconds is more than 0 and at most 60")
        }
        guard (1...10_000_000).contains(maxMessages) else {
            throw ValidationError("--max-messages is from 1 to 10000000")
        }
        guard (1...99).contains(rounds) else { throw ValidationError("--rounds is from 1 to 99") }
        guard (1...1_000).contains(connections) else {
            throw ValidationError("--connections is from 1 to 1000")
        }
        guard !deflate || !snappy else {
            throw ValidationError("--deflate and --snappy do not go together: nsqd takes one")
        }
        try validateBroker()
    }

    private func validateBroker() throws {
        let flags = try parsedFlags()
        if nsqdTcpAddress == nil {
            guard !tls || !flags.values.tls.certificateFile.isEmpty else {
                throw ValidationError(
                    "--tls wants --tls-cert and --tls-key for the broker that is started here, or "
                        + "--nsqd-tcp-address of one that has them")
            }
        } else if let flag = flags.given.sorted().first {
            throw ValidationError(
                "--\(flag) is for a broker that is started here: leave --nsqd-tcp-address out")
        }
    }

    private func parsedFlags() throws -> FlagSet.Parsed {
        var defaults = BrokerStart.defaults
        defaults.addresses.tcp = "127.0.0.1:0"
        defaults.addresses.http = ""
        defaults.addresses.https = ""
        defaults.log.level = .error
        return try FlagSet(name: "bench").parse(brokerFlags, over: defaults, of: self)
    }

    func run() async throws {
        let transport = try BenchTransport(
            tls: tls, compression: deflate ? .deflate : snappy ? .snappy : nil)
        let broker = nsqdTcpAddress == nil ? try await startBroker() : nil
        let outcome = Result { try measure(try targets(broker), transport) }
        await broker?.stop()
        let report = try outcome.get()
        print(json ? try report.json : report.table)
    }

    private func startBroker() async throws -> EmbeddedBroker {
        try await BrokerStart(try parsedFlags()).start()
    }

    private func targets(_ broker: EmbeddedBroker?) throws -> [BenchTarget] {
        let embedded = try broker.map {
            BenchTarget("embedded", try SocketAddress(parsing: $0.tcpAddress).reachable)
        }
        let others = [nsqdTcpAddress, against].compactMap { $0 }
        return [embedded].compactMap { $0 } + others.map { BenchTarget($0.description, $0) }
    }

    private func measure(
        _ targets: [BenchTarget], _ transport: BenchTransport
    ) throws -> BenchReport {
        let loads = targets.map {
            BenchLoads(
                target: $0, transport: transport, connections: connections, seconds: seconds,
                maxMessages: maxMessages)
        }
        var results = targets.map { _ in BenchResults() }
        for load in loads { try load.greet() }
        for round in 1...rounds {
            for (place, target) in targets.enumerated() {
                StandardError.print("round \(round) of \(rounds): \(target.name)")
                try loads[place].runAll(&results[place])
            }
        }
        return BenchReport(
            targets: targets.map(\.name), results: results, transport: transport,
            connections: connections)
    }
}

/// An nsqd that is measured.
struct BenchTarget {
    /// What it is called in the report.
    let name: String
    let address: SocketAddress

    init(_ name: String, _ address: SocketAddress) {
        self.name = name
        self.address = address
    }
}

extension BenchLoads {
    /// One round: every load, and what came of it.
    fileprivate func runAll(_ results: inout BenchResults) throws {
        let name = "tally_bench_\(UInt32.random(in: 0 ... .max))"
        let batches = TopicName(name + "_mpub")!
        let batched = try multiPublish(to: batches)
        results.multiPublish.append(batched.perSecond)
        results.consume.append(try consume(batched.messages, from: batches).perSecond)

        let singles = TopicName(name + "_pub")!
        let single = try publish(to: singles)
        results.publish.append(single.perSecond)
        let oneByOne = BenchConsumer.Manner.singly(ready: BenchConsumer.readyCount)
        results.consumeSingly.append(
            try consume(single.messages, from: singles, oneByOne).perSecond)

        let few = TopicName(name + "_few")!
        let backlog = try multiPublish(to: few, most: 10_000)
        results.consumeReady1.append(
            try consume(backlog.messages, from: few, .singly(ready: 1)).perSecond)

        let both = try both(on: TopicName(name + "_both")!)
        results.bothPublished.append(both.published.perSecond)
        results.bothConsumed.append(both.consumed.perSecond)
        results.latency.append(
            try latency(on: TopicName(name + "_lone")!, messages: min(1_000, maxMessages)))
    }
}
