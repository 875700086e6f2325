import ArgumentParser
import PlayCounts

/// The options for generated plays.
struct PlayOptions: ParsableArguments {
    @Option(help: "The number of plays.")
    var plays = 100_000

    @Option(help: "The number of videos.")
    var videos = 100

    @Option(help: "The minimum number of videos with fewer than 100 plays.")
    var coldVideos = 15

    @Option(help: "The seed of the generator; the same seed generates the same plays.")
    var seed: UInt64 = 1

    func validate() throws {
        // The limit bounds the generator's memory, which is four bytes for each play.
        try require("--plays", plays, in: 1...100_000_000)
        try require("--videos", videos, in: 1...100_000_000)
        try require("--cold-videos", coldVideos, in: 0...100_000_000)
    }

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
