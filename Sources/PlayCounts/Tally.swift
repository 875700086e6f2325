/// A video's running count.
package struct PlayCount: Hashable, Sendable {
    package let videoID: VideoID
    package let count: Int

    package init(of videoID: VideoID, _ count: Int) {
        self.videoID = videoID
        self.count = count
    }
}

/// What one batch of plays did to one video.
package struct CountChange: Hashable, Sendable {
    package let videoID: VideoID
    /// The video's plays after the batch.
    package internal(set) var count: Int
    /// When the batch's first play of the video arrived: from here its freshness runs.
    package let arrival: Instant
    /// Whether a play of the batch left the video below the realtime bound: publish it now.
    package let isImmediate: Bool

    package init(videoID: VideoID, count: Int, arrival: Instant, isImmediate: Bool) {
        self.videoID = videoID
        self.count = count
        self.arrival = arrival
        self.isImmediate = isImmediate
    }
}

/// Counts plays: a batch of plays and the counts so far → the counts that changed, and which of
/// them are due now.
///
/// The counts are the store's, read once at the start and kept in step. When a commit fails, so
/// that the store is behind, throw the tally away and begin again from the store: the plays are
/// still with NSQ.
package struct Tally {
    /// A play that leaves its video below this many makes it immediate.
    package let realtimeBelow: Int

    private var videoIDs: GUIDTable
    // INVARIANT: a count for each of `videoIDs`, by its number.
    private var running: [Running] = []
    private var batch: [CountChange] = []

    package init(_ counts: [PlayCount] = [], realtimeBelow: Int = 100) {
        self.realtimeBelow = realtimeBelow
        videoIDs = GUIDTable(minimumCapacity: counts.count)
        running.reserveCapacity(counts.count)
        for stored in counts {
            precondition(videoIDs.insert(stored.videoID).isNew, "a video has one count")
            running.append(Running(count: stored.count))
        }
    }

    package var videos: Int { running.count }

    package var hasChanges: Bool { !batch.isEmpty }

    package func count(of video: VideoID) -> Int {
        videoIDs.number(of: video).map { running[$0].count } ?? 0
    }

    /// Counts one play into the open batch.
    package mutating func count(_ play: Play, arrival: Instant) {
        // One look-up a play, changed in place: nearly the whole cost of counting.
        let (number, isNew) = videoIDs.insert(play.videoID)
        if isNew { running.append(Running()) }
        running[number].add(play, arrival: arrival, realtimeBelow: realtimeBelow, to: &batch)
    }

    /// Closes the batch and opens the next: what changed, in the order of its first plays.
    package mutating func takeChanges() -> [CountChange] {
        defer { batch = [] }
        return batch
    }
}

/// A video's count, and where the open batch may hold the video.
private struct Running {
    var count = 0
    /// A hint only: whose place it is, the place itself tells. So closing a batch need not visit
    /// its videos again to take them out.
    private var place: UInt32 = 0

    init(count: Int = 0) {
        self.count = count
    }

    mutating func add(
        _ play: Play, arrival: Instant, realtimeBelow: Int, to batch: inout [CountChange]
    ) {
        count += 1
        if place < batch.count, batch[Int(place)].videoID == play.videoID {
            batch[Int(place)].count = count
        } else {
            place = UInt32(batch.count)
            batch.append(
                CountChange(
                    videoID: play.videoID, count: count, arrival: arrival,
                    isImmediate: count < realtimeBelow))
        }
    }
}
