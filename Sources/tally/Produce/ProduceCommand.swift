import ArgumentParser
import Foundation
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import TallyBasics
import UVLoop

/// `tally produce`: publishes plays to a running nsqd.
struct ProduceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "produce",
        abstract: "Publishes generated plays, or the lines of a file, to an nsqd.",
        discussion: """
            Every generated play has a play_id, derived from the seed and the run ID, so that a \
            processor counts it once even if it arrives twice. When the connection breaks, the \
            plays without an answer are published again. The lines of a file are published again \
            only if each of them has a play_id. Lines are published as soon as the input pauses.

            With --copies=2, each play is published to two nsqds, and a processor that consumes from \
            all of them counts it once. So no count is lost if one nsqd is lost with its disk. A play \
            counts as published when all copies are accepted; publishing fails if fewer nsqds than \
            copies accept plays for about 17 s.

            SIGINT and SIGTERM end the publishing: what was read completely is published. The exit \
            status is then 128 plus the number of the signal, unless everything was published or \
            the input is standard input. To publish the rest of generated plays, run the same \
            command with the run ID that is printed: plays that were published before count once.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & nsqd=$!; sleep 1
                    tally produce --nsqd-tcp-address=127.0.0.1:4150
                    tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=200 --rate=99 --json
                    tally nsqd --tcp-address=127.0.0.1:5150 --http-address= \
                      --memory-only & sleep 1
                    tally produce --nsqd-tcp-address=127.0.0.1:4150 \
                      --nsqd-tcp-address=127.0.0.1:5150 --copies=2
                    kill $!
                    echo '{"video_id":"1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"}' >plays.jsonl
                    tally produce --nsqd-tcp-address=127.0.0.1:4150 --file=plays.jsonl
                    gzip plays.jsonl
                    zcat plays.jsonl.gz | tally produce --nsqd-tcp-address=127.0.0.1:4150 --file=-
                    kill $nsqd
                    """#))

    @OptionGroup
    var nsqds: PlayDestinationOptions

    @OptionGroup(title: "Connections to nsqd")
    var connection: ConnectionOptions

    @Option(help: "The topic to publish to.", transform: TopicName.init(flag:))
    var topic = TopicName(unchecked: "plays")

    @OptionGroup(title: "Plays")
    var playOptions: PlayOptions

    @Option(
        name: .customLong("run-id"),
        help: """
            A number that is part of every play_id. Plays with the same seed and run ID count \
            only once. Default: random, so that every run counts.
            """)
    var runID: UInt64?

    @Option(help: "Publish the lines of this file instead; - reads standard input.")
    var file: String?

    @Option(help: "Plays per second, published every 10 ms; 0 means as fast as possible.")
    var rate = 0

    @Option(help: "The number of nsqds to which each play is published.")
    var copies = 1

    @Flag(help: "Print the outcome as one JSON object.")
    var json = false

    @OptionGroup var log: LogArguments

    func validate() throws {
        try require("--rate", rate, in: 0...1_000_000_000)
        try require("--copies", copies, in: 1...100)
    }

    func run() async throws {
        // This is not checked in `validate()`, which ArgumentParser calls before it reports a
        // misspelled option. A misspelled option is the probable cause of a missing address.
        guard !nsqds.isEmpty else {
            throw ValidationError(
                "missing --nsqd-tcp-address=HOST:PORT or --lookupd-http-address=HOST:PORT")
        }
        let logger = log.logger("tally", defaultLevel: .error)
        var options = Producer.Options.withoutWaiting
        options.client = try connection.clientOptions(ofCommand: "produce")
        options.distribution = .roundRobin
        let runID = runID ?? .random(in: 1...UInt64(UInt32.max))
        let source = try PlaySource(file: file, playOptions, runID: runID)
        let addresses = try await nsqds.resolve()
        guard copies <= addresses.count else {
            throw UsageError(
                "--copies=\(copies) needs as many nsqds, and there "
                    + (addresses.count == 1 ? "is one" : "are \(addresses.count)"))
        }
        let signals = try await StopSignals.watch()
        let progress = Progress()
        progress.begin([.init("published", of: file == nil ? playOptions.plays : nil)])
        let thread = try LoopThread(name: "producer")
        let (topic, rate, copies) = (topic, rate, copies)
        let started = ContinuousClock.now
        let rest = file == nil ? Self.repetition(of: runID) : nil
        let interruption = LockedValue<String?>(nil)
        let watcher = Task {
            guard let signal = await signals.next() else { return }
            interruption.withLock { $0 = signal }
            StandardError.print(
                "\(signal): waiting for the answers of nsqd" + (rest.map { "; \($0)" } ?? ""))
            thread.mailbox.submit { _ in source.stop() }
        }
        defer { watcher.cancel() }
        let outcome: Result<Int, any Error> = await withCheckedContinuation { continuation in
            thread.mailbox.submit { [options] loop in
                // With copies, each nsqd has its own engine, because `CopyingPublisher` chooses the
                // nsqds of each batch.
                let engines = (copies > 1 ? addresses.map { [$0] } : [addresses]).map {
                    ProducerEngine(on: loop, nsqds: $0, options: options, logger: logger)
                }
                var settings = PlayProducer.Settings()
                settings.rate = Double(rate)
                settings.requiresPlayIDs = copies > 1
                let producer = PlayProducer(
                    on: loop,
                    publisher: copies > 1
                        ? CopyingPublisher(nsqds: engines, copies: copies) : engines[0],
                    topic: topic, settings: settings, source: source.next)
                producer.onProgress = { progress.set("published", $0) }
                do {
                    try source.feed(producer, on: loop)
                } catch {
                    return continuation.resume(returning: .failure(error))
                }
                for engine in engines { engine.start() }
                producer.start { outcome in
                    var running = engines.count
                    for engine in engines {
                        engine.stop {
                            running -= 1
                            guard running == 0 else { return }
                            withExtendedLifetime(producer) {
                                continuation.resume(returning: outcome)
                            }
                        }
                    }
                }
            }
        }
        progress.end()
        thread.stop()
        await thread.join()
        if case .failure = outcome, let rest { StandardError.print(rest) }
        let published = try outcome.mapError { UsageError(connecting: $0) }.get()
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        try report(published, seconds: seconds.rounded(to: 3), runID: file == nil ? runID : nil)
        if source.incompleteBytes > 0 {
            StandardError.print(
                "the last line has no end and is not published: "
                    + counted(source.incompleteBytes, "byte"))
        }
        if let signal = interruption.withLock({ $0 }), !source.isComplete, file != "-" {
            throw ExitCode(128 + (signal == "SIGINT" ? SIGINT : SIGTERM))
        }
    }

    /// - Parameter runID: the run ID of generated plays; `nil` if the plays are from a file.
    private func report(_ published: Int, seconds: Double, runID: UInt64?) throws {
        struct Outcome: Encodable {
            var published: Int
            var topic: String
            var seconds: Double
            var run_id: UInt64?
        }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let outcome = Outcome(
                published: published, topic: topic.text, seconds: seconds, run_id: runID)
            return print(String(decoding: try encoder.encode(outcome), as: UTF8.self))
        }
        print("published \(counted(published, "play")) to \(topic) in \(seconds) s")
        if let runID { print(Self.repetition(of: runID)) }
    }

    private static func repetition(of runID: UInt64) -> String {
        "repeat the same plays with --run-id=\(runID)"
    }
}
