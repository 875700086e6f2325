/// Which video was played when, as one end of the queue saw it: the producer's log of what it
/// sent, or the consumer's of what it received. Sixteen bytes a play.
package struct PlayLog: Sendable {
    private struct Entry: Sendable {
        let video: UInt32
        let instant: Instant
    }

    private var numbers: [VideoID: UInt32] = [:]
    private var entries: [Entry] = []

    package init() {}

    package var count: Int { entries.count }
    package var videos: Int { numbers.count }

    package mutating func record(_ videoID: VideoID, at instant: Instant) {
        let number = numbers[videoID, default: UInt32(numbers.count)]
        if number == numbers.count { numbers[videoID] = number }
        entries.append(Entry(video: number, instant: instant))
    }

    /// The log turned over: every video's plays, in order.
    func byVideo() -> PlaysByVideo {
        var starts = [Int](repeating: 0, count: numbers.count + 1)
        for entry in entries { starts[Int(entry.video) + 1] += 1 }
        for number in starts.indices.dropFirst() { starts[number] += starts[number - 1] }
        var next = starts
        var instants = [Instant](repeating: .start, count: entries.count)
        for entry in entries {
            instants[next[Int(entry.video)]] = entry.instant
            next[Int(entry.video)] += 1
        }
        return PlaysByVideo(numbers: numbers, starts: starts, instants: instants)
    }
}

/// When each play of each video was.
struct PlaysByVideo {
    fileprivate let numbers: [VideoID: UInt32]
    fileprivate let starts: [Int]
    fileprivate let instants: [Instant]

    fileprivate init(numbers: [VideoID: UInt32], starts: [Int], instants: [Instant]) {
        self.numbers = numbers
        self.starts = starts
        self.instants = instants
    }

    var videoIDs: some Collection<VideoID> { numbers.keys }

    subscript(videoID: VideoID) -> ArraySlice<Instant> {
        guard let number = numbers[videoID] else { return [] }
        return instants[starts[Int(number)]..<starts[Int(number) + 1]]
    }
}
