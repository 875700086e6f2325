import ArgumentParser
import Foundation
import PlayCounts
import PostgreSQL
import TallyBasics

/// `tally counts`: prints the counts in a store.
struct CountsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "counts",
        abstract: "Prints the counts in a store, most played videos first.",
        discussion: """
            Opens the store read-only, and can be used while a processor is running.
            """
                + HelpText.examples(
                    #"""
                    tally demo --store=plays.db                  # makes a store
                    tally counts --store=plays.db --top=10
                    tally counts --store=plays.db --video=bfef8030-ddc2-4772-9f55-2ce482f2aa47
                    tally counts --store=plays.db --json | jq .total_plays
                    """#))

    @Option(
        help: ArgumentHelp(
            "The store of a processor: an SQLite file, or the URL of a PostgreSQL database.",
            valueName: "file-or-url"))
    var store = "tally.sqlite"

    @Option(help: "The number of videos to print. Default: all.")
    var top: Int?

    @Option(
        help: "Print only the video with this GUID.", transform: CountsCommand.videoID)
    var video: VideoID?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        try require("--top", top ?? 1, in: 1...1_000_000_000)
        guard top == nil || video == nil else {
            throw ValidationError("--top and --video cannot be combined")
        }
    }

    private static func videoID(_ text: String) throws -> VideoID {
        guard let videoID = VideoID(text) else {
            throw ValidationError("use a GUID such as 1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70")
        }
        return videoID
    }

    func run() throws {
        let counts = try readCounts()
            .sorted { ($1.count, $0.videoID.text) < ($0.count, $1.videoID.text) }
        let shown = try shown(of: counts)
        print(json ? try Self.json(shown, of: counts) : Self.table(shown, of: counts))
    }

    private func readCounts() throws -> [PlayStore.StoredCount] {
        guard let database = try PostgreSQLConfiguration(store: store) else {
            return try PlayStore.readCounts(at: store)
        }
        return try SharedStore.readCounts(in: database)
    }

    private func shown(
        of counts: [PlayStore.StoredCount]
    ) throws -> ArraySlice<PlayStore.StoredCount> {
        guard let video else { return counts.prefix(top ?? counts.count) }
        guard let index = counts.firstIndex(where: { $0.videoID == video }) else {
            // The description of a database contains no password.
            let name = try PostgreSQLConfiguration(store: store)?.description ?? store
            throw UsageError("video \(video.text) has no plays in '\(name)'")
        }
        return counts[index...index]
    }

    private static func table(
        _ shown: ArraySlice<PlayStore.StoredCount>, of all: [PlayStore.StoredCount]
    ) -> String {
        var lines = [line("video", "plays", "published")]
        lines += shown.map { line($0.videoID.text, "\($0.count)", "\($0.published)") }
        lines.append("")
        lines.append(
            "\(counted(all.count, "video")), \(counted(all.reduce(0) { $0 + $1.count }, "play"))")
        return lines.joined(separator: "\n")
    }

    private static func line(_ video: String, _ plays: String, _ published: String) -> String {
        func padded(_ text: String) -> String {
            String(repeating: " ", count: max(1, 12 - text.count)) + text
        }
        return video.padding(toLength: GUID.textBytes, withPad: " ", startingAt: 0)
            + padded(plays) + padded(published)
    }

    private static func json(
        _ shown: ArraySlice<PlayStore.StoredCount>, of all: [PlayStore.StoredCount]
    ) throws -> String {
        struct Videos: Encodable {
            struct Video: Encodable {
                var video_id: String
                var play_count: Int
                var published_count: Int
            }
            /// The number of all videos in the store, which may be more than the printed ones.
            var total_videos: Int
            var total_plays: Int
            var videos: [Video]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let videos = shown.map {
            Videos.Video(
                video_id: $0.videoID.text, play_count: $0.count, published_count: $0.published)
        }
        let object = Videos(
            total_videos: all.count, total_plays: all.reduce(0) { $0 + $1.count }, videos: videos)
        return String(decoding: try encoder.encode(object), as: UTF8.self)
    }
}
