/// Plays as they might come in: a few videos that everybody watches, a long tail that hardly
/// anybody does, all mixed. The same settings, seed and run give the same plays, wherever they run.
///
/// A collection that makes its plays as they are asked for, so a million of them cost four bytes
/// each.
package struct PlayGenerator: RandomAccessCollection, Sendable {
    package struct Settings: Sendable {
        package var plays = 100_000
        package var videos = 100
        /// Videos that stay below `coldBelow` plays. There may be more of them.
        package var coldVideos = 15
        package var coldBelow = 100
        package var seed: UInt64 = 1
        /// Goes into the plays' ids, and into nothing else: the same plays, but of another day.
        package var run: UInt64 = 0

        package init() {}
    }

    /// How often each video is played, by its rank.
    package let playsOfVideo: [Int]
    private let order: [UInt32]
    private let seed: UInt64
    private let playSeed: UInt64

    package init(_ settings: Settings = Settings()) throws(ImpossiblePlays) {
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

    package func video(rank: Int) -> VideoID {
        SplitMix64.guid(seed: seed, index: rank)
    }
}

/// Settings that no row of plays can meet.
package enum ImpossiblePlays: Error, Equatable, CustomStringConvertible {
    case noVideos
    case fewerPlaysThanVideos(plays: Int, videos: Int)
    case moreColdThanVideos(cold: Int, videos: Int)
    case tooManyPlaysForColdVideos(plays: Int, most: Int)
    case tooMany(Int)

    package var description: String {
        switch self {
        case .noVideos:
            "there must be at least one video"
        case .fewerPlaysThanVideos(let plays, let videos):
            "\(plays) plays do not reach \(videos) videos: ask for at least \(videos) plays"
        case .moreColdThanVideos(let cold, let videos):
            "\(cold) cold videos of \(videos): ask for between 0 and \(videos)"
        case .tooManyPlaysForColdVideos(let plays, let most):
            "\(plays) plays make a cold video hot: ask for at most \(most), or fewer cold videos"
        case .tooMany(let number):
            "\(number) are too many: ask for at most \(Int(UInt32.max))"
        }
    }
}

extension PlayGenerator.Settings {
    fileprivate func check() throws(ImpossiblePlays) {
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

    /// Plays by rank. One for each video first, then what is left by Zipf's law (the second has
    /// half of the first, the third a third), but a cold video stops at its own bound, and what
    /// it leaves goes to the others by the same law. Sums and quotients only, no powers: those
    /// differ from one C library to the next.
    fileprivate func distribution(_ generator: inout SplitMix64) -> [Int] {
        var counts = [Int](repeating: 1, count: videos)
        let hot = videos - coldVideos
        deal(plays - videos, to: 0..<videos, &counts)
        for rank in hot..<videos {
            counts[rank] = min(counts[rank], 1 + generator.next(below: coldBelow - 1))
        }
        deal(plays - counts.reduce(0, +), to: 0..<hot, &counts)
        var left = plays - counts.reduce(0, +)
        for rank in counts.indices where left > 0 {
            let room = rank < hot ? Int.max : coldBelow - 1 - counts[rank]
            let more = hot > 0 ? min(left, 1 + left / hot) : min(left, room)
            counts[rank] += more
            left -= more
        }
        return counts
    }

    /// Adds to `counts` each rank's share of `plays`, rounded down.
    private func deal(_ plays: Int, to ranks: Range<Int>, _ counts: inout [Int]) {
        let whole = ranks.reduce(0.0) { $0 + 1 / Double($1 + 1) }
        for rank in ranks {
            counts[rank] += Int(Double(plays) / (Double(rank + 1) * whole))
        }
    }
}
