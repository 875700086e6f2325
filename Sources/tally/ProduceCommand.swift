import ArgumentParser
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// `tally produce`: publishes plays to a running nsqd.
struct ProduceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "produce",
        abstract: "Publishes plays to an nsqd: made-up ones, or those of a file.",
        discussion: """
            Every play made up has a play_id, from the seed and the run id; by it a processor \
            counts the play once, however often it comes. So when the connection breaks before \
            nsqd has answered, the plays without an answer are published again. Lines of a file \
            are, too, if each of them has a play_id.

            EXAMPLES
              tally produce --nsqd-tcp-address=127.0.0.1:4150
              tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=6000 --rate=100
              tally produce --nsqd-tcp-address=127.0.0.1:4150 --file=plays.jsonl
              zcat plays.jsonl.gz | tally produce --nsqd-tcp-address=127.0.0.1:4150 --file=-
            """)

    @Option(help: "The nsqd to publish to, as HOST:PORT.")
    var nsqdTcpAddress: SocketAddress

    @Option(help: "The topic to publish to.", transform: TopicName.init(flag:))
    var topic = TopicName(unchecked: "plays")

    @OptionGroup(title: "Plays")
    var flags: PlayFlags

    @Option(
        name: .customLong("run-id"),
        help: """
            A number that goes into the plays' ids. Plays of the same seed and run id are the same \
            plays, and count once. A random one unless given, so that every run counts.
            """)
    var runID: UInt64?

    @Option(help: "A file of messages to publish instead, a line each; - is standard input.")
    var file: String?

    @Option(help: "Plays per second; 0 is as fast as they are taken.")
    var rate = 0

    @Option(help: "What to log: debug, info, warn, error or fatal.")
    var logLevel = LogLevel.error

    func validate() throws { try expect("--rate", rate, atLeast: 0) }

    func run() async throws {
        let logger = LineLog.logger("tally", logLevel)
        let runID = runID ?? .random(in: 1...UInt64(UInt32.max))
        let source = try SharedPlays(file: file, flags, runID: runID)
        let progress = Progress()
        progress.begin([.init("published", of: file == nil ? flags.plays : nil)])
        let thread = try LoopThread(name: "producer")
        let (address, topic, rate) = (nsqdTcpAddress, topic, rate)
        let started = ContinuousClock.now
        let outcome: Result<Int, any Error> = await withCheckedContinuation { continuation in
            thread.door.submit { loop in
                let engine = ProducerEngine(on: loop, nsqd: address, logger: logger)
                var settings = PlayProducer.Settings()
                settings.rate = Double(rate)
                let producer = PlayProducer(
                    on: loop, engine: engine, topic: topic, settings: settings,
                    source: source.next)
                producer.onProgress = { progress.set("published", $0) }
                engine.start()
                producer.start { outcome in
                    engine.stop {
                        withExtendedLifetime(producer) { continuation.resume(returning: outcome) }
                    }
                }
            }
        }
        progress.end()
        thread.stop()
        thread.join()
        let published = try outcome.mapError { UsageError(reaching: $0) }.get()
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        print("published \(published) plays to \(topic) in \(seconds.rounded(to: 3)) s")
        if file == nil { print("to publish the same plays again: --run-id=\(runID)") }
    }
}

/// What can be chosen about made-up plays.
struct PlayFlags: ParsableArguments {
    @Option(help: "How many plays.")
    var plays = 100_000

    @Option(help: "Of how many videos.")
    var videos = 100

    @Option(help: "How many videos get fewer than 100 plays at least.")
    var coldVideos = 15

    @Option(help: "The same seed gives the same plays.")
    var seed: UInt64 = 1

    func generator(runID: UInt64) throws -> PlayGenerator {
        var settings = PlayGenerator.Settings()
        settings.plays = plays
        settings.videos = videos
        settings.coldVideos = coldVideos
        settings.seed = seed
        settings.run = runID
        return try PlayGenerator(settings)
    }
}

/// Messages to publish one after another, from a file or made up.
// SAFETY: made before the producer's thread has it, and used by nobody else from then on.
final class SharedPlays: @unchecked Sendable {
    private let take: () throws -> [UInt8]?

    init(file: String?, _ flags: PlayFlags, runID: UInt64) throws {
        if let file {
            var plays = try PlayFile(path: file)
            take = { try plays.next() }
        } else {
            let plays = try flags.generator(runID: runID)
            var index = 0
            take = {
                guard index < plays.count else { return nil }
                defer { index += 1 }
                return plays[index].json
            }
        }
    }

    func next() throws -> [UInt8]? { try take() }
}
