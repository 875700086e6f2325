import ArgumentParser
import Foundation
import LivePage
import Logging
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// `tally demo`: the whole system in one process, and a verdict on it.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Runs broker, producer and processor in one process, and judges the outcome.",
        discussion: """
            Plays go through real sockets in NSQ's protocol, into a store, and out to a client. \
            The verdict is drawn from what was sent and what the client was told. Ends with 0 \
            only if every rule held.

            Every run makes plays of its own: with one --store, each adds to the counts of the last.

            EXAMPLES
              tally demo
              tally demo --live                                 # in two minutes, on a page
              tally demo --plays=12000 --rate=1000
              tally demo --json | jq .verdict
              tally demo --nsqd-tcp-address=127.0.0.1:4150      # a running nsqd, a real one, say
            """)

    @Option(help: "A running nsqd to use instead of the embedded broker, as HOST:PORT.")
    var nsqdTcpAddress: SocketAddress?

    @Option(help: "Where the embedded broker listens, as HOST:PORT; port 0 is any free one.")
    var tcpAddress = SocketAddress(host: "127.0.0.1", port: 4150)

    @Option(help: "The topic that the plays go through.", transform: TopicName.init(flag:))
    var topic = TopicName(unchecked: "plays")

    @OptionGroup(title: "Plays")
    var flags: PlayFlags

    @Option(help: "Plays per second; 0 is as fast as they are taken.")
    var rate = 0

    @Option(help: "How long a play to be published at once may wait for others, for fewer calls.")
    var coalesce = GoDuration(argument: "0ms")!

    @Flag(
        help: "Spread the plays over --over, and show the counts on a page as they are published.")
    var live = false

    @Option(help: "How long the plays of --live take.")
    var over = GoDuration(argument: "2m")!

    @OptionGroup(title: "Page of --live")
    var pageFlags: PageFlags

    @Option(
        help: """
            The SQLite file to count in; unless given a temporary one, in memory if there is \
            enough of it and TMPDIR names no folder.
            """)
    var store: String?

    @Option(
        help: """
            A folder for what is to outlive the run: the counts go to counts.sqlite in it, unless \
            --store names another file. Messages are held in memory.
            """)
    var dataPath: String?

    @Flag(help: "Print the verdict as one JSON object.")
    var json = false

    func validate() throws {
        _ = try TopicName(flag: topic.text + RejectedPlays.topicSuffix)
        try expect("--rate", rate, atLeast: 0)
        guard .zero...(.seconds(60)) ~= coalesce.duration else {
            throw ValidationError("--coalesce is 0 to 60s")
        }
        guard !live || rate == 0 else {
            throw ValidationError("--live spreads the plays over --over: leave --rate out")
        }
        guard over.duration > .zero else { throw ValidationError("--over is more than 0") }
    }

    func run() async throws {
        let plays = try flags.generator(runID: .random(in: 1...UInt64.max))
        let store = try PlayStore(location)
        let signals = try await StopSignals.watch()
        let broker = nsqdTcpAddress == nil ? try await startBroker() : nil
        let address = try nsqdTcpAddress ?? SocketAddress(parsing: broker!.tcpAddress)
        let page = live ? try await startPage(of: store, address) : nil
        let watch = broker.flatMap {
            page?.watch($0, topic: topic.text, channel: Processing.channel)
        }
        say(address, page)
        let progress = Progress()
        progress.begin([
            .init("published", of: plays.count), .init("counted", of: plays.count),
            .init("calls", of: nil),
        ])
        var demo = try DemoRun(
            plays: plays, nsqd: address, topic: topic, store: store,
            rate: rate(of: plays.count),
            broker: broker == nil ? address.description : "embedded", progress: progress,
            coalesce: coalesce.duration)
        demo.page = page
        let outcome = try await demo.outcome(unless: signals)
        progress.end()
        watch?.cancel()
        await page?.stop()
        await broker?.stop()
        signals.stop()
        try? store.close()
        try report(outcome)
    }

    private var location: PlayStore.Location {
        if let store { return .file(store) }
        return dataPath.map { .file("\($0)/counts.sqlite") }
            ?? .temporary(in: ScratchFolder.url)
    }

    private func startBroker() async throws -> EmbeddedBroker {
        do {
            var options = BrokerStart.besideProcessor
            options.addresses.tcp = tcpAddress.description
            options.addresses.http = ""
            return try await EmbeddedBroker.start(options, LineLog.logger("nsqd", .error))
        } catch {
            throw UsageError(
                "\(error); choose another port with --tcp-address=127.0.0.1:0, or use what runs "
                    + "there with --nsqd-tcp-address=\(tcpAddress)")
        }
    }

    private func rate(of count: Int) -> Double {
        guard live else { return Double(rate) }
        return Double(count) / (Double(over.duration.nanoseconds) / 1e9)
    }

    private func startPage(of store: PlayStore, _ address: SocketAddress) async throws -> LivePage?
    {
        var settings = PageSettings()
        settings.coalesce = coalesce.duration
        let broker = nsqdTcpAddress == nil ? "the embedded broker" : "nsqd"
        settings.source = "Demo, topic \(topic), \(broker) at \(address)"
        return try await pageFlags.start(
            of: store, settings, logger: LineLog.logger("tally", .warn))
    }

    private func say(_ address: SocketAddress, _ page: LivePage?) {
        let what = nsqdTcpAddress == nil ? "the embedded broker listens" : "using nsqd"
        StandardError.print(
            """
            \(what) at \(address); watch the plays from another terminal with
              nsq_tail --nsqd-tcp-address=\(address) --topic=\(topic)
            """)
        if let page { StandardError.print("and the counts in a browser at\n  \(page.url)") }
    }

    private func report(_ outcome: DemoRun.Outcome) throws {
        switch outcome {
        case .interrupted(let signal):
            StandardError.print(
                "tally: \(signal): the demo was not finished, so there is no verdict")
            throw ExitCode(130)
        case .failed(let error):
            throw UsageError(reaching: error)
        case .finished(let verdict):
            print(json ? try verdict.json : verdict.text)
            guard verdict.passes else { throw ExitCode(1) }
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
        var lines = ["", "verdict: \(passes ? "pass" : "fail")", ""]
        for rule in rules {
            lines.append("  \(rule.holds ? "holds " : "BROKEN")  \(rule.rule)")
            lines.append("          \(rule.detail)")
        }
        lines.append("")
        lines.append(
            "\(playsCounted) of \(playsProduced) plays of \(videos) videos counted in "
                + "\(seconds.rounded(to: 3)) s, \(Int(playsPerSecond)) a second; "
                + "\(playsRejected) rejected")
        lines.append(
            "\(calls) calls where \(plannerCalls) would do, "
                + "\(callsRatio.rounded(to: 3)) times that; \(emptySlots) places in them empty")
        lines.append(
            "the latest play \(worstLatenessMilliseconds) ms after it was due; broker: \(broker)")
        return lines.joined(separator: "\n")
    }
}
