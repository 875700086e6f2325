import TallyBasics

/// A pseudo-random sequence of plays, in which a few videos are played often and most are played
/// rarely. The same settings yield the same plays on every machine.
///
/// The collection creates each play on access, and stores only four bytes for each.
package struct PlayGenerator: RandomAccessCollection, Sendable {
    /// The settings of the sequence.
    package struct Settings: Sendable {
        package var plays = 100_000
        package var videos = 100
        /// The minimum number of cold videos, which have fewer than `coldBelow` plays.
        package var coldVideos = 15
        /// A video with fewer plays is a cold video.
        package var coldBelow = 100
        /// The seed of the sequence: the same seed yields the same plays.
        package var seed: UInt64 = 1
        /// Another number changes only the play IDs. A processor then counts the same plays again,
        /// because it does not recognize them as duplicates.
        package var run: UInt64 = 0

        package init() {}
    }

    /// The number of plays of each video. The index is the video's rank.
    package let playsOfVideo: [Int]
    private let order: [UInt32]
    private let seed: UInt64
    private let playSeed: UInt64

    /// - Throws: ``InvalidPlaySettings``.
    package init(_ settings: Settings = Settings()) throws(InvalidPlaySettings) {
        try settings.check()
        var generator = SplitMix64(seed: settings.seed)
        playsOfVideo = settings.distribution(&generator)
        var order: [UInt32] = []
        order.reserveCapacity(settings.plays)
        for (rank, plays) in playsOfVideo.enumerated() {
            order.append(contentsOf: repeatElement(UInt32(rank), count: plays))
        }
        generator.shuffle(&order)
        self.order = order
        seed = settings.seed
        var mixer = SplitMix64(seed: ~settings.seed)
        playSeed = mixer.next() ^ settings.run
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { order.count }

    package subscript(index: Int) -> Play {
        let playID = SplitMix64.guid(seed: playSeed, index: index)
        return Play(of: video(rank: Int(order[index])), playID: .guid(playID))
    }

    /// The ID of the video with this rank. The video with the most plays has rank 0.
    package func video(rank: Int) -> VideoID {
        SplitMix64.guid(seed: seed, index: rank)
    }
}

/// Contradictory settings of a ``PlayGenerator``.
package enum InvalidPlaySettings: Error, Equatable, CustomStringConvertible {
    case noVideos
    case fewerPlaysThanVideos(plays: Int, videos: Int)
    case moreColdThanVideos(cold: Int, videos: Int)
    case tooManyPlaysForColdVideos(plays: Int, most: Int)
    case tooMany(Int)

    package var description: String {
        switch self {
        case .noVideos:
            "the number of videos must be at least 1"
        case .fewerPlaysThanVideos(let plays, let videos):
            "\(counted(plays, "play")) cannot cover \(counted(videos, "video")): at least "
                + "\(counted(videos, "play")) required"
        case .moreColdThanVideos(let cold, let videos):
            "the number of cold videos must be 0 to \(videos), not \(cold)"
        case .tooManyPlaysForColdVideos(let plays, let most):
            "\(counted(plays, "play")) are too many for cold videos only: at most \(most), or "
                + "fewer cold videos"
        case .tooMany(let number):
            "\(number) plays or videos are too many: at most \(Int(UInt32.max))"
        }
    }
}

extension PlayGenerator.Settings {
    fileprivate func check() throws(InvalidPlaySettings) {
        guard videos > 0 else { throw .noVideos }
        guard max(plays, videos) <= Int(UInt32.max) else { throw .tooMany(max(plays, videos)) }
        guard plays >= videos else { throw .fewerPlaysThanVideos(plays: plays, videos: videos) }
        guard 0...videos ~= coldVideos else {
            throw .moreColdThanVideos(cold: coldVideos, videos: videos)
        }
        let most = videos * (coldBelow - 1)
        guard coldVideos < videos || plays <= most else {
            throw .tooManyPlaysForColdVideos(plays: plays, most: most)
        }
    }

    /// The number of plays of each rank. Each video gets one play, and the remaining plays are
    /// distributed by Zipf's law: the second video gets half as many as the first, the third a
    /// third. A cold video has a random maximum, and the plays above it are distributed over the
    /// other videos by the same law. The computation uses only sums and quotients, because the
    /// results of `pow` differ between C libraries.
    fileprivate func distribution(_ generator: inout SplitMix64) -> [Int] {
        var counts = [Int](repeating: 1, count: videos)
        let hot = videos - coldVideos
        distribute(plays - videos, over: 0..<videos, &counts)
        for rank in hot..<videos {
            counts[rank] = min(counts[rank], 1 + generator.next(below: coldBelow - 1))
        }
        distribute(plays - counts.reduce(0, +), over: 0..<hot, &counts)
        var remaining = plays - counts.reduce(0, +)
        for rank in counts.indices where remaining > 0 {
            let limit = rank < hot ? Int.max : coldBelow - 1 - counts[rank]
            let more = hot > 0 ? min(remaining, 1 + remaining / hot) : min(remaining, limit)
            counts[rank] += more
            remaining -= more
        }
        return counts
    }

    /// Adds each rank's share of `plays` by Zipf's law, rounded down, to `counts`.
    private func distribute(_ plays: Int, over ranks: Range<Int>, _ counts: inout [Int]) {
        let sum = ranks.reduce(0.0) { $0 + 1 / Double($1 + 1) }
        for rank in ranks {
            counts[rank] += Int(Double(plays) / (Double(rank + 1) * sum))
        }
    }
}
