import PlayCounts
import TestTraits
import Testing

@Suite(.blocking) struct `The play generator` {
    @Test(arguments: Seeds.all)
    func `generates the plays of the job, with a long tail`(seed: UInt64) throws {
        var settings = PlayGenerator.Settings()
        settings.seed = seed
        let plays = try PlayGenerator(settings)
        let counts = Dictionary(grouping: plays, by: \.videoID).mapValues(\.count)
        #expect(plays.count == 100_000)
        #expect(counts.count == 100)
        #expect(counts.values.count { $0 < 100 } >= 15, Seeds.comment(seed))
        #expect(counts.values.allSatisfy { $0 >= 1 })
        for (rank, expected) in plays.playsOfVideo.enumerated() {
            #expect(counts[plays.video(rank: rank)] == expected, Seeds.comment(seed))
        }
        let first = counts[plays.video(rank: 0)]!
        let tenth = counts[plays.video(rank: 9)]!
        #expect(9...11 ~= first / tenth, "Zipf's law")
    }

    @Test func `generates the same plays for the same seed`() throws {
        var settings = PlayGenerator.Settings()
        settings.plays = 2000
        let plays = try PlayGenerator(settings)
        #expect(try plays.elementsEqual(PlayGenerator(settings)))
        // These values must be the same on every machine and with every compiler.
        #expect(plays[0].videoID.text == "1f1ee7fa-827f-4be3-b18f-2509942eafba")
        #expect(plays[1999].videoID.text == "bfef8030-ddc2-4772-9f55-2ce482f2aa47")
        settings.seed = 2
        let others = try PlayGenerator(settings)
        #expect(Set(plays.map(\.videoID)).isDisjoint(with: others.map(\.videoID)))
    }

    @Test func `shuffles the plays and gives each a play ID of its own`() throws {
        let plays = try PlayGenerator()
        let favourite = plays.video(rank: 0)
        let tenths = stride(from: 0, to: plays.count, by: 10_000).map { start in
            plays[start..<start + 10_000].count { $0.videoID == favourite }
        }
        #expect(tenths.max()! < tenths.min()! * 5 / 4)
        #expect(Set(plays.map(\.playID)).count == plays.count)
    }

    @Test func `generates UUIDs of version 4`() throws {
        for play in try PlayGenerator().prefix(100) {
            let text = Array(play.videoID.text)
            #expect(text[14] == "4")
            #expect("89ab".contains(text[19]))
        }
    }

    @Test func `generates plays of a million videos`() throws {
        var settings = PlayGenerator.Settings()
        (settings.plays, settings.videos, settings.coldVideos) = (1_000_000, 1_000_000, 1_000_000)
        let plays = try PlayGenerator(settings)
        #expect(plays.count == 1_000_000)
        #expect(plays.playsOfVideo.allSatisfy { $0 == 1 })
        #expect(Set((0..<plays.count).map(plays.video(rank:))).count == 1_000_000)
    }

    @Test(arguments: [
        (1, 1, 0), (1, 1, 1), (99, 1, 1), (100, 1, 0), (100, 100, 15), (101, 100, 100),
        (9900, 100, 100), (9899, 100, 100), (12_345, 100, 99), (1_000_000, 3, 2),
    ])
    func `keeps the number of plays, videos and cold videos`(plays: Int, videos: Int, cold: Int)
        throws
    {
        var settings = PlayGenerator.Settings()
        (settings.plays, settings.videos, settings.coldVideos) = (plays, videos, cold)
        let counts = try PlayGenerator(settings).playsOfVideo
        #expect(counts.reduce(0, +) == plays)
        #expect(counts.count == videos)
        #expect(counts.allSatisfy { $0 >= 1 })
        #expect(counts.count { $0 < 100 } >= cold)
    }

    @Test(
        arguments: [
            (10, 0, 0, .noVideos),
            (99, 100, 15, .fewerPlaysThanVideos(plays: 99, videos: 100)),
            (100, 10, 11, .moreColdThanVideos(cold: 11, videos: 10)),
            (100, 10, -1, .moreColdThanVideos(cold: -1, videos: 10)),
            (991, 10, 10, .tooManyPlaysForColdVideos(plays: 991, most: 990)),
            (1 << 33, 10, 1, .tooMany(1 << 33)),
        ] as [(Int, Int, Int, InvalidPlaySettings)])
    func `rejects contradictory settings`(
        plays: Int, videos: Int, cold: Int, error: InvalidPlaySettings
    ) {
        var settings = PlayGenerator.Settings()
        (settings.plays, settings.videos, settings.coldVideos) = (plays, videos, cold)
        #expect(throws: error) { try PlayGenerator(settings) }
    }
}
