import ArgumentParser
import Foundation
import PlayCounts

/// `tally counts`: shows what a store holds.
struct CountsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "counts",
        abstract: "Prints the counts of a store, the most played videos first.",
        discussion: """
            Only reads, so it can be used while a processor works with the store.

            EXAMPLES
              tally counts --store=counts.sqlite --top=10
              tally counts --json | jq '.videos[0]'
            """)

    @Option(help: "The SQLite file that the counts are kept in.")
    var store = "tally.sqlite"

    @Option(help: "How many videos; all of them unless given.")
    var top: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard top ?? 1 > 0 else { throw ValidationError("--top is at least 1") }
    }

    func run() throws {
        let counts = try PlayStore.look(at: store)
            .sorted { ($1.count, $0.videoID.text) < ($0.count, $1.videoID.text) }
        let shown = counts.prefix(top ?? counts.count)
        print(json ? try Self.json(shown) : Self.table(shown, of: counts))
    }

    private static func table(
        _ shown: ArraySlice<PlayStore.StoredCount>, of all: [PlayStore.StoredCount]
    ) -> String {
        var lines = [line("video", "plays", "published")]
        lines += shown.map { line($0.videoID.text, "\($0.count)", "\($0.published)") }
        lines.append("")
        lines.append("\(all.count) videos, \(all.reduce(0) { $0 + $1.count }) plays")
        return lines.joined(separator: "\n")
    }

    private static func line(_ video: String, _ plays: String, _ published: String) -> String {
        func right(_ text: String) -> String {
            String(repeating: " ", count: max(1, 12 - text.count)) + text
        }
        return video.padding(toLength: GUID.textBytes, withPad: " ", startingAt: 0)
            + right(plays) + right(published)
    }

    private static func json(_ counts: ArraySlice<PlayStore.StoredCount>) throws -> String {
        struct Videos: Encodable {
            struct Video: Encodable {
                var video_id: String
                var play_count: Int
                var published_count: Int
            }
            var videos: [Video]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let videos = counts.map {
            Videos.Video(
                video_id: $0.videoID.text, play_count: $0.count, published_count: $0.published)
        }
        return String(decoding: try encoder.encode(Videos(videos: videos)), as: UTF8.self)
    }
}
