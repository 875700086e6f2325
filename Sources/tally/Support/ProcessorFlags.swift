import ArgumentParser
import Logging
import NSQWire
import PlayCounts
import UVLoop

/// What can be chosen about counting and publishing.
struct ProcessorFlags: ParsableArguments {
    @Option(help: "The topic to take plays from.")
    var topic = "plays"

    @Option(help: "The channel to take them through.")
    var channel = "counts"

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
        guard TopicName(topic) != nil else {
            throw ValidationError("--topic \(topic) is not a topic's name: \(Self.nameRule)")
        }
        guard ChannelName(channel) != nil else {
            throw ValidationError("--channel \(channel) is not a channel's name: \(Self.nameRule)")
        }
        guard realtimeBelow >= 0 else { throw ValidationError("--realtime-below is at least 0") }
        guard freshness.duration >= .seconds(1) else {
            throw ValidationError("--freshness is at least 1s")
        }
        guard .zero...freshness.duration ~= coalesce.duration else {
            throw ValidationError("--coalesce is 0 up to --freshness")
        }
        guard videosPerCall > 0 else { throw ValidationError("--videos-per-call is at least 1") }
        guard maxInFlight > 0 else { throw ValidationError("--max-in-flight is at least 1") }
        guard 0...65_534 ~= maxAttempts else {
            throw ValidationError("--max-attempts is 0 to 65534")
        }
        guard dedupWindow.duration >= .seconds(1) else {
            throw ValidationError("--dedup-window is at least 1s")
        }
        for case .nsq(_, let target) in publishing.publishTo.map(\.place) where target.text == topic
        {
            throw ValidationError("--publish-to takes calls to --topic \(topic): choose another")
        }
        // What is in flight when tally is killed comes again, and must still be known then.
        guard dedupLimit >= 2 * maxInFlight else {
            throw ValidationError(
                "--dedup-limit is at least twice --max-in-flight: \(2 * maxInFlight) or more")
        }
    }

    static let nameRule = "1 to 64 of a-z A-Z 0-9 . _ -, and perhaps #ephemeral at the end"

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

    func assembly(
        nsqds: [SocketAddress], store: PlayStore, logger: Logger
    ) -> ProcessorAssembly {
        ProcessorAssembly(
            nsqds: nsqds, topic: TopicName(topic)!, channel: ChannelName(channel)!,
            maxInFlight: maxInFlight, settings: settings, store: store, logger: logger)
    }
}

extension SocketAddress: ExpressibleByArgument {
    public init?(argument: String) {
        guard let address = try? SocketAddress(parsing: argument) else { return nil }
        self = address
    }
}
