/// Which video was played when, as one end of the queue saw it: the producer's log of what it
/// sent, or the consumer's of what it received. Twelve bytes a play, and some twenty a video.
package struct PlayLog: Sendable {
    private var videoIDs = GUIDTable()
    // INVARIANT: side by side, a video's number and an instant for each play.
    private var numbers: [UInt32] = []
    private var instants: [Instant] = []

    /// - Parameter plays: how many will come, if that is known.
    package init(minimumCapacity plays: Int = 0) {
        numbers.reserveCapacity(plays)
        instants.reserveCapacity(plays)
    }

    /// A log of plays that were each at the instant in the same place.
    package init(of plays: some Collection<Play>, at instants: [Instant]) {
        self.init(minimumCapacity: instants.count)
        for (play, instant) in zip(plays, instants) { record(play.videoID, at: instant) }
    }

    package var count: Int { numbers.count }
    package var videos: Int { videoIDs.guids.count }

    package mutating func record(_ videoID: VideoID, at instant: Instant) {
        numbers.append(UInt32(videoIDs.insert(videoID).number))
        instants.append(instant)
    }

    /// The log turned over: every video's plays, in order.
    func byVideo() -> PlaysByVideo {
        var starts = [UInt32](repeating: 0, count: videos + 1)
        for number in numbers { starts[Int(number) + 1] += 1 }
        for number in starts.indices.dropFirst() { starts[number] += starts[number - 1] }
        // Each start moves to its end while the plays go to their places, and is then the next one's.
        var turned = [Instant](repeating: .start, count: count)
        for (number, instant) in zip(numbers, instants) {
            turned[Int(starts[Int(number)])] = instant
            starts[Int(number)] += 1
        }
        return PlaysByVideo(videos: videoIDs, ends: starts, instants: turned)
    }
}

/// When each play of each video was.
struct PlaysByVideo {
    private let videos: GUIDTable
    // INVARIANT: where the plays of each video end, by its number; they begin where those of the
    // one before end.
    private let ends: [UInt32]
    private let instants: [Instant]

    fileprivate init(videos: GUIDTable, ends: [UInt32], instants: [Instant]) {
        self.videos = videos
        self.ends = ends
        self.instants = instants
    }

    var videoIDs: [VideoID] { videos.guids }

    subscript(videoID: VideoID) -> ArraySlice<Instant> {
        guard let number = videos.number(of: videoID) else { return [] }
        let start = number == 0 ? 0 : ends[number - 1]
        return instants[Int(start)..<Int(ends[number])]
    }
}
