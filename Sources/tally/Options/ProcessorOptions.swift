import ArgumentParser
import HTTP
import LivePage
import Logging
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// The options for counting and publishing.
struct ProcessorOptions: ParsableArguments {
    @Option(help: "The topic to consume.", transform: TopicName.init(flag:))
    var topic = TopicName(unchecked: "plays")

    @Option(help: "The channel to consume.", transform: ChannelName.init(flag:))
    var channel = ChannelName(unchecked: "counts")

    @Option(
        help: ArgumentHelp(
            """
            The SQLite file for the counts, which is created if it is missing. tally process also \
            accepts postgres://USER@HOST:PORT/DATABASE: then any number of processes count into \
            the schema tally of this database. The password can be in PGPASSWORD or ~/.pgpass, and \
            the other variables and parameters of libpq, such as sslmode=verify-full, apply too.
            """, valueName: "file-or-url"))
    var store = "tally.sqlite"

    @OptionGroup(title: "Publishing")
    var publishing: CallOptions

    @Option(help: "A play is published at once while its video has fewer plays than this.")
    var realtimeBelow = 100

    @Option(
        durationHelp: "Every other play is published within this time.")
    var freshness = GoDuration(argument: "60s")!

    @Option(
        durationHelp: """
            How long an immediate play may wait for others, to save calls. With 0, only plays that \
            were committed together share calls.
            """)
    var coalesce = GoDuration(argument: "0ms")!

    @Option(help: "The maximum number of videos per call.")
    var videosPerCall = 20

    @Option(help: "The maximum number of messages in flight.")
    var maxInFlight = 2_500

    @Option(
        help: """
            The maximum number of deliveries of a message. After that it is published to the \
            rejected topic; if that fails too, it is logged and finished. 0 means no limit.
            """)
    var maxAttempts = 100

    @Option(
        durationHelp: """
            How long a play is recognized when it is delivered or published again: by its play_id, \
            or by its message ID at its nsqd. At most twice as long. Time in which tally does not \
            run is not included.
            """)
    var dedupWindow = GoDuration(argument: "1h")!

    @Option(
        help: """
            The maximum number of plays to recognize, at 16 bytes each in the store and up to 43 \
            in memory. If more arrive within the window, at least the last half of this number is \
            recognized.
            """)
    var dedupLimit = 1_000_000

    func validate() throws {
        try topic.requireRejectedTopic()
        try require("--realtime-below", realtimeBelow, in: 0...1_000_000_000_000)
        try require("--freshness", freshness, atLeast: "1s")
        guard .zero...freshness.duration ~= coalesce.duration else {
            throw ValidationError(
                "--coalesce must be between 0 and --freshness (\(freshness)), not \(coalesce)")
        }
        try require("--videos-per-call", videosPerCall, in: 1...1_000_000)
        try require("--max-in-flight", maxInFlight, in: 1...1_000_000)
        try require("--max-attempts", maxAttempts, in: 0...65_534)
        try require("--dedup-window", dedupWindow, atLeast: "1s")
        for case .nsq(_, let target) in publishing.publishTo.map(\.destination)
        where target == topic {
            throw ValidationError("--publish-to must not be the consumed topic '\(topic)'")
        }
        // After a crash, nsqd redelivers the messages in flight, and the processor must recognize
        // those that were already counted.
        try require(
            "--dedup-limit", dedupLimit, in: 2 * maxInFlight...1_000_000_000,
            "at least twice --max-in-flight")
    }

    var settings: PlayProcessor.Settings {
        var settings = PlayProcessor.Settings()
        settings.realtimeBelow = realtimeBelow
        settings.maxAttempts = maxAttempts
        settings.deduplication.window = dedupWindow.duration
        settings.deduplication.limit = dedupLimit
        settings.scheduler.freshness = freshness.duration
        settings.scheduler.coalesce = coalesce.duration
        settings.scheduler.videosPerCall = videosPerCall
        return settings
    }

    /// - Parameters:
    ///   - source: a text about the origin of the plays, for the page.
    ///   - nsqd: the address to which a producer connects; `nil` if it is unknown.
    func pageSettings(source: String, nsqd: SocketAddress?) -> PageSettings {
        var settings = PageSettings()
        settings.setProduceCommand(nsqd: nsqd, topic: topic)
        settings.source = "Topic \(topic), \(source)"
        settings.realtimeBelow = realtimeBelow
        settings.freshness = freshness.duration
        settings.coalesce = coalesce.duration
        settings.videosPerCall = videosPerCall
        return settings
    }

    func pipeline(
        nsqds: [SocketAddress], lookupds: [HTTPURL] = [], client: ClientOptions, store: PlayStore,
        logger: Logger
    ) -> ProcessorPipeline {
        ProcessorPipeline(
            nsqds: nsqds, lookupds: lookupds, client: client, topic: topic, channel: channel,
            maxInFlight: maxInFlight, settings: settings, store: store, logger: logger)
    }
}
