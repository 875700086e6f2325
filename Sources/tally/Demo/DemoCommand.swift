import ArgumentParser
import Foundation
import LivePage
import Logging
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import TallyBasics
import UVLoop

/// `tally demo`: runs broker, producer and processor in one process, and checks the result against
/// all rules.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Runs broker, producer and processor in one process, and checks every rule.",
        discussion: """
            The plays pass through real sockets in NSQ's protocol, into a store, and out to a \
            client. The verdict compares the plays that were sent with the calls that the client \
            received. The exit status is 0 only if every rule holds. The latency of immediate \
            plays is reported and is not a rule, because it depends on the machine.

            Every run generates new plays: with the same --store, the counts add up.
            """
                + HelpText.examples(
                    #"""
                    tally demo
                    tally demo --plays=12000 --rate=2000
                    tally demo --json | jq .verdict
                    tally demo --jobs               # background jobs instead of plays
                    tally demo --live               # over two minutes, with a page, until Ctrl-C
                    tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1
                    tally demo --nsqd-tcp-address=127.0.0.1:4150      # through a running nsqd
                    kill $!
                    """#))

    @OptionGroup(title: "nsqd instead of the embedded broker")
    var nsqds: PlayDestinationOptions

    @OptionGroup(title: "Connections to these nsqds")
    var connection: ConnectionOptions

    @Option(help: "The address of the embedded broker, as HOST:PORT; port 0 picks a free port.")
    var tcpAddress = SocketAddress(host: "127.0.0.1", port: 4150)

    @Option(help: "The topic for the plays.", transform: TopicName.init(flag:))
    var topic = TopicName(unchecked: "plays")

    @OptionGroup(title: "Plays")
    var playOptions: PlayOptions

    @Option(help: "Plays per second; 0 means as fast as possible.")
    var rate = 0

    @Option(
        durationHelp: "How long an immediate play may wait for others, to save calls.")
    var coalesce = GoDuration(argument: "0ms")!

    @Flag(
        help: """
            Spread the plays over the time of --over, and show the counts on a page. After the \
            end the page stays until Ctrl-C, with the verdict.
            """)
    var live = false

    @Option(durationHelp: "The duration of --live.")
    var over = GoDuration(argument: "2m")!

    @Option(
        name: .customLong("max-standstill"),
        durationHelp: "End with a verdict of fail after this long without progress.")
    var maxStandstill = GoDuration(argument: "30s")!

    @OptionGroup(title: "Page (with --live)")
    var pageOptions: PageOptions

    @Option(
        help: """
            The SQLite file for the counts. Default: a temporary file, in memory if there is \
            enough and TMPDIR is not set.
            """)
    var store: String?

    @Option(
        help: """
            A folder for the counts, in counts.sqlite unless --store is given. Messages are kept \
            in memory.
            """)
    var dataPath: String?

    @Flag(
        help: """
            Check background jobs instead of plays: 20,000 jobs with delays, priorities, failures, \
            unique keys, transactions and a worker that is killed. Only --tcp-address, \
            --max-standstill and --json apply.
            """)
    var jobs = false

    @Flag(help: "Print the verdict as one JSON object.")
    var json = false

    func validate() throws {
        try topic.requireRejectedTopic()
        try require("--rate", rate, in: 0...1_000_000_000)
        guard .zero...(.seconds(60)) ~= coalesce.duration else {
            throw ValidationError("--coalesce must be between 0 and 60s")
        }
        guard !live || rate == 0 else {
            throw ValidationError(
                "--live and --rate cannot be combined (--over sets the duration of --live)")
        }
        guard over.duration > .zero else { throw ValidationError("--over must be greater than 0") }
        try require("--max-standstill", maxStandstill, atLeast: "100ms")
        guard !jobs || (!live && nsqds.isEmpty && store == nil && dataPath == nil) else {
            throw ValidationError(
                "--jobs cannot be combined with --live, --store, --data-path or nsqd addresses")
        }
    }

    func run() async throws {
        if jobs { return try await runJobs() }
        let plays = try playOptions.generator(runID: .random(in: 1...UInt64.max))
        // The embedded broker requires neither TLS nor AUTH.
        let client =
            nsqds.isEmpty
            ? ClientOptions(ofCommand: "demo") : try connection.clientOptions(ofCommand: "demo")
        if let store { try PlayStore.expectFile(store, of: "tally demo") }
        try await PlayStore.withStore(location) { store in
            try await run(plays, client, store)
        }
    }

    private func run(
        _ plays: PlayGenerator, _ client: ClientOptions, _ store: PlayStore
    ) async throws {
        let signals = try await StopSignals.watch()
        let broker = nsqds.isEmpty ? try await startBroker() : nil
        let nsqds =
            if let broker { [try SocketAddress(parsing: broker.tcpAddress)] } else {
                try await self.nsqds.resolve()
            }
        let page = live ? try await startPage(of: store, nsqds) : nil
        let queuePolling = broker.flatMap {
            page?.startQueuePolling($0, topic: topic.text, channel: DemoProcessing.channel)
        }
        printAddresses(nsqds, page)
        let interruption = Task { await signals.next() }
        let outcome = try await run(
            plays, nsqds, client, store, page, isEmbedded: broker != nil, until: interruption)
        let status = Result { try report(outcome) }
        if let page, case .finished(let verdict) = outcome {
            page.setVerdict(verdict)
            StandardError.print("the page stays at \(page.url) until Ctrl-C")
            _ = await interruption.value
        }
        queuePolling?.cancel()
        await page?.stop(reason: outcome.stopReason)
        await broker?.stop()
        interruption.cancel()
        await signals.stop()
        if case .finished = outcome { try? store.close() } else { try? store.abandon() }
        if try status.get() != 0 { throw ExitCode(try status.get()) }
    }

    private func run(
        _ plays: PlayGenerator, _ nsqds: [SocketAddress], _ client: ClientOptions,
        _ store: PlayStore, _ page: LivePage?, isEmbedded: Bool,
        until interruption: Task<String?, Never>
    ) async throws -> DemoRun.Outcome {
        let progress = Progress()
        progress.begin([
            .init("published", of: plays.count), .init("counted", of: plays.count),
            .init("calls", of: nil),
        ])
        defer { progress.end() }
        var demo = try DemoRun(
            plays: plays, nsqds: nsqds, topic: topic, store: store, rate: rate(of: plays.count),
            broker: isEmbedded ? "embedded" : Self.text(of: nsqds), progress: progress,
            coalesce: coalesce.duration)
        demo.page = page
        demo.client = client
        demo.maxStandstill = maxStandstill.duration
        return try await demo.run(until: interruption)
    }

    private var location: PlayStore.Location {
        if let store { return .file(store) }
        return dataPath.map { .file("\($0)/counts.sqlite") }
            ?? .temporary(in: TemporaryStoreFolder.url)
    }

    func startBroker() async throws -> EmbeddedBroker {
        do {
            var options = BrokerConfiguration.besideProcessorDefaults
            options.addresses.tcp = tcpAddress.description
            options.addresses.http = ""
            return try await EmbeddedBroker.start(options, LineLog.logger("nsqd", .error))
        } catch {
            throw UsageError(startingBroker: error, orUse: "--nsqd-tcp-address")
        }
    }

    private func rate(of count: Int) -> Double {
        guard live else { return Double(rate) }
        return Double(count) / (Double(over.duration.nanoseconds) / 1e9)
    }

    private func startPage(
        of store: PlayStore, _ nsqds: [SocketAddress]
    ) async throws -> LivePage? {
        var settings = PageSettings()
        settings.coalesce = coalesce.duration
        let broker = self.nsqds.isEmpty ? "the embedded broker" : "nsqd"
        settings.setProduceCommand(nsqd: nsqds[0].reachable, topic: topic)
        settings.source = "Demo, topic \(topic), \(broker) at \(Self.text(of: nsqds))"
        return try await pageOptions.start(
            of: store, settings, logger: LineLog.logger("tally", .warn))
    }

    private static func text(of nsqds: [SocketAddress]) -> String {
        nsqds.map(\.description).joined(separator: ", ")
    }

    private func printAddresses(_ nsqds: [SocketAddress], _ page: LivePage?) {
        let broker = self.nsqds.isEmpty ? "embedded broker" : "nsqd"
        let options = nsqds.map { "--nsqd-tcp-address=\($0)" }.joined(separator: " ")
        StandardError.print(
            """
            \(broker): \(Self.text(of: nsqds))
            to watch the plays: nsq_tail \(options) --topic=\(topic)
            """)
        if let page { StandardError.print("to watch the counts: \(page.url)") }
    }

    /// Prints the verdict.
    ///
    /// - Returns: the exit status.
    private func report(_ outcome: DemoRun.Outcome) throws -> Int32 {
        switch outcome {
        case .interrupted(let signal):
            StandardError.print("tally: \(signal): interrupted, no verdict")
            return 130
        case .failed(let error):
            throw UsageError(connecting: error)
        case .finished(let verdict):
            print(json ? try verdict.json : verdict.text)
            // Flush now: the process may keep running because of the page, and standard output is
            // buffered if it is a file.
            fflush(nil)
            return verdict.passes ? 0 : 1
        }
    }
}

extension DemoRun.Outcome {
    /// A sentence for the page about the end of the demo.
    fileprivate var stopReason: String {
        switch self {
        case .finished: "the demo has ended and was stopped"
        case .failed(let error): "the demo failed: \(error)"
        case .interrupted(let signal):
            "the demo was interrupted by \(signal), so there is no verdict"
        }
    }
}

extension Verdict {
    fileprivate var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }

    fileprivate var text: String {
        var lines = ["verdict: \(passes ? "pass" : "fail")", ""]
        for rule in rules {
            lines.append("  \(rule.holds ? "holds " : "BROKEN")  \(rule.rule)")
            lines.append("          \(rule.detail)")
        }
        lines.append("")
        lines.append(
            "\(playsCounted) of \(counted(playsProduced, "play")) of \(counted(videos, "video")) "
                + "counted in \(seconds.rounded(to: 3)) s (\(Int(playsPerSecond)) per second), "
                + "\(playsRejected) rejected")
        lines.append(
            "\(counted(calls, "call")), \(callsRatio.rounded(to: 3)) times the minimum of "
                + "\(minimumCalls), with \(counted(emptySlots, "unused slot"))")
        lines.append(
            "immediate plays: median \(p50ImmediateMilliseconds) ms, "
                + "99% within \(p99ImmediateMilliseconds) ms, "
                + "maximum \(worstImmediateMilliseconds) ms from receipt to call")
        if let schedulingDelayMilliseconds {
            lines.append(
                "scheduling delay: the processor's thread waited "
                    + "\(schedulingDelayMilliseconds) ms in total for a CPU")
        }
        lines.append("broker: \(broker)")
        return lines.joined(separator: "\n")
    }
}
