import TallyBasics

/// The times and videos of plays, in order. One log has the plays that the producer sent, another
/// those that the processor received. It takes 12 bytes per play and about 20 bytes per video.
package struct PlayLog: Sendable {
    private var videoIDs = GUIDTable()
    // INVARIANT: both arrays have one element for each play. A video is stored as its index in
    // `videoIDs`.
    private var videoIndices: [UInt32] = []
    private var instants: [MonotonicInstant] = []

    /// Creates an empty log.
    ///
    /// - Parameter plays: the expected number of plays.
    package init(minimumCapacity plays: Int = 0) {
        videoIndices.reserveCapacity(plays)
        instants.reserveCapacity(plays)
    }

    /// Creates a log of plays. `instants` has the instant of each play at the same position.
    package init(of plays: some Collection<Play>, at instants: [MonotonicInstant]) {
        self.init(minimumCapacity: instants.count)
        for (play, instant) in zip(plays, instants) { record(play.videoID, at: instant) }
    }

    package var count: Int { videoIndices.count }
    /// The number of different videos.
    package var videos: Int { videoIDs.guids.count }

    /// Appends a play.
    package mutating func record(_ videoID: VideoID, at instant: MonotonicInstant) {
        videoIndices.append(UInt32(videoIDs.insert(videoID).index))
        instants.append(instant)
    }

    /// The videos in the order of their first plays.
    var videoIDList: [VideoID] { videoIDs.guids }

    /// The position of a play's video in ``videoIDList``.
    func videoIndex(ofPlay index: Int) -> Int { Int(videoIndices[index]) }

    /// Groups the plays by video, by a counting sort.
    func byVideo() -> PlaysByVideo {
        var starts = [UInt32](repeating: 0, count: videos + 1)
        for index in videoIndices { starts[Int(index) + 1] += 1 }
        for index in starts.indices.dropFirst() { starts[index] += starts[index - 1] }
        // Storing a play advances the start of its video by one. So at the end of the loop, each
        // start has become the end of its video.
        var sorted = [MonotonicInstant](repeating: .start, count: count)
        for (index, instant) in zip(videoIndices, instants) {
            sorted[Int(starts[Int(index)])] = instant
            starts[Int(index)] += 1
        }
        return PlaysByVideo(videos: videoIDs, ends: starts, instants: sorted)
    }
}

/// The instants of plays, grouped by video.
struct PlaysByVideo {
    private let videos: GUIDTable
    // INVARIANT: the plays of the video with index `i` end at `ends[i]` in `instants`, and begin at
    // the end of the video before it.
    private let ends: [UInt32]
    private let instants: [MonotonicInstant]

    fileprivate init(videos: GUIDTable, ends: [UInt32], instants: [MonotonicInstant]) {
        self.videos = videos
        self.ends = ends
        self.instants = instants
    }

    var videoIDs: [VideoID] { videos.guids }

    subscript(videoID: VideoID) -> ArraySlice<MonotonicInstant> {
        guard let index = videos.index(of: videoID) else { return [] }
        let start = index == 0 ? 0 : ends[index - 1]
        return instants[Int(start)..<Int(ends[index])]
    }
}
