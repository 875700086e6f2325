import ArgumentParser
import LivePage
import Logging
import NSQWire
import PlayCounts
import UVLoop

/// What can be chosen about counting and publishing.
struct ProcessorFlags: ParsableArguments {
    @Option(help: "The topic to take plays from.", transform: TopicName.init(flag:))
    var topic = TopicName(unchecked: "plays")

    @Option(help: "The channel to take them through.", transform: ChannelName.init(flag:))
    var channel = ChannelName(unchecked: "counts")

    @Option(help: "The SQLite file that the counts are kept in; made if it is not there.")
    var store = "tally.sqlite"

    @OptionGroup(title: "Publishing")
    var publishing: PublishFlags

    @Option(help: "A play that leaves its video below this many is published at once.")
    var realtimeBelow = 100

    @Option(help: "How soon any other play is published at the latest.")
    var freshness = GoDuration(argument: "60s")!

    @Option(
        help: """
            How long a play that is to be published at once may wait for others, so that calls are \
            fewer. 0: those that were committed together share calls.
            """)
    var coalesce = GoDuration(argument: "0ms")!

    @Option(help: "The most videos in one call.")
    var videosPerCall = 20

    @Option(help: "The most messages without an answer at a time.")
    var maxInFlight = 2_500

    @Option(
        help: """
            How often a message may be delivered. One that comes more often goes unread to the \
            rejected ones; and one that nsqd does not take there is then logged and finished. 0 is \
            no limit.
            """)
    var maxAttempts = 100

    @Option(
        help: """
            How long a play is remembered at least, so that it counts once when it is delivered or \
            published again: by its play_id, or else by its message's id at its nsqd. At most \
            twice as long. Time in which tally does not run is left out.
            """)
    var dedupWindow = GoDuration(argument: "1h")!

    @Option(
        help: """
            How many plays are remembered for that at most, at 16 bytes each in the store and up \
            to 43 in memory. Where more come within the window, the last half of so many are \
            remembered at least.
            """)
    var dedupLimit = 1_000_000

    func validate() throws {
        try expect("--realtime-below", realtimeBelow, atLeast: 0)
        try expect("--freshness", freshness, atLeast: "1s")
        guard .zero...freshness.duration ~= coalesce.duration else {
            throw ValidationError("--coalesce is 0 up to --freshness")
        }
        try expect("--videos-per-call", videosPerCall, atLeast: 1)
        try expect("--max-in-flight", maxInFlight, atLeast: 1)
        guard 0...65_534 ~= maxAttempts else {
            throw ValidationError("--max-attempts is 0 to 65534")
        }
        try expect("--dedup-window", dedupWindow, atLeast: "1s")
        for case .nsq(_, let target) in publishing.publishTo.map(\.place) where target == topic {
            throw ValidationError("--publish-to takes calls to --topic \(topic): choose another")
        }
        // What is in flight when tally is killed comes again, and must still be known then.
        try expect(
            "--dedup-limit", dedupLimit, atLeast: 2 * maxInFlight, "twice --max-in-flight")
    }

    var settings: PlayProcessor.Settings {
        var settings = PlayProcessor.Settings()
        settings.realtimeBelow = realtimeBelow
        settings.maxAttempts = maxAttempts
        settings.counted.window = dedupWindow.duration
        settings.counted.limit = dedupLimit
        settings.publisher.freshness = freshness.duration
        settings.publisher.coalesce = coalesce.duration
        settings.publisher.videosPerCall = videosPerCall
        return settings
    }

    /// - Parameter source: where the plays come from, for the page to say.
    func pageSettings(source: String) -> PageSettings {
        var settings = PageSettings()
        settings.source = "Topic \(topic), \(source)"
        settings.realtimeBelow = realtimeBelow
        settings.freshness = freshness.duration
        settings.coalesce = coalesce.duration
        settings.videosPerCall = videosPerCall
        return settings
    }

    func assembly(
        nsqds: [SocketAddress], store: PlayStore, logger: Logger
    ) -> ProcessorAssembly {
        ProcessorAssembly(
            nsqds: nsqds, topic: topic, channel: channel,
            maxInFlight: maxInFlight, settings: settings, store: store, logger: logger)
    }
}

extension SocketAddress: ExpressibleByArgument {
    public init?(argument: String) {
        guard let address = try? SocketAddress(parsing: argument) else { return nil }
        self = address
    }
}
