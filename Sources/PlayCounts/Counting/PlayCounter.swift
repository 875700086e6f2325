import TallyBasics

/// The total number of plays of one video.
package struct PlayCount: Hashable, Sendable {
    package let videoID: VideoID
    package let count: Int

    package init(of videoID: VideoID, _ count: Int) {
        self.videoID = videoID
        self.count = count
    }
}

/// The change of one video's total by one batch of plays.
package struct CountChange: Hashable, Sendable {
    package let videoID: VideoID
    /// The video's total after the batch.
    package internal(set) var count: Int
    /// The time when the first play of the video in the batch arrived. The freshness of the total
    /// is measured from this time.
    package let arrival: MonotonicInstant
    /// `true` if a play of the batch left the video below the realtime bound, so that the total
    /// must be published immediately.
    package let isImmediate: Bool

    package init(videoID: VideoID, count: Int, arrival: MonotonicInstant, isImmediate: Bool) {
        self.videoID = videoID
        self.count = count
        self.arrival = arrival
        self.isImmediate = isImmediate
    }
}

/// Counts plays and collects the changes of the current batch.
///
/// It starts with the totals in the store and then counts in memory. If a batch is abandoned after
/// a failed commit, the totals in memory are higher than those in the store, so a new counter must
/// be made from the store. NSQ redelivers the plays of this batch, because they are not finished.
package struct PlayCounter {
    /// A change is immediate if a play leaves its video below this total.
    private let realtimeBelow: Int
    private var videoIDs: GUIDTable
    // INVARIANT: has one element for each of `videoIDs`, at the index of the GUID.
    private var totals: [VideoTotal] = []
    private var changes: [CountChange] = []
    /// `true` if the current batch has an immediate play.
    package private(set) var hasImmediateChange = false

    /// Creates a counter that starts with these totals.
    package init(_ counts: [PlayCount] = [], realtimeBelow: Int = 100) {
        self.realtimeBelow = realtimeBelow
        videoIDs = GUIDTable(minimumCapacity: counts.count)
        totals.reserveCapacity(counts.count)
        for stored in counts {
            precondition(videoIDs.insert(stored.videoID).isNew, "a video has one total")
            totals.append(VideoTotal(count: stored.count))
        }
    }

    /// The number of videos with plays.
    package var videos: Int { totals.count }

    /// `true` if the current batch has changes.
    package var hasChanges: Bool { !changes.isEmpty }

    /// The video's total; 0 if it has no plays.
    package func count(of video: VideoID) -> Int {
        videoIDs.index(of: video).map { totals[$0].count } ?? 0
    }

    /// Counts one play into the current batch.
    package mutating func count(_ play: Play, arrival: MonotonicInstant) {
        // Counting spends nearly all its time in this lookup.
        let (index, isNew) = videoIDs.insert(play.videoID)
        if isNew { totals.append(VideoTotal()) }
        totals[index].add(play, arrival: arrival, realtimeBelow: realtimeBelow, to: &changes)
        if totals[index].count < realtimeBelow { hasImmediateChange = true }
    }

    /// Ends the current batch and begins the next.
    ///
    /// - Returns: one change for each video of the batch, in the order of their first plays.
    package mutating func removeChanges() -> [CountChange] {
        defer {
            changes = []
            hasImmediateChange = false
        }
        return changes
    }
}

/// A video's total, and the likely index of its change in the current batch.
private struct VideoTotal {
    var count = 0
    /// The index of the video's change in the last batch that contained one of its plays. In a
    /// later batch, this index is outdated, so the video ID of the change is compared before use.
    /// This is cheaper than resetting all indices after each batch.
    private var changeIndex: UInt32 = 0

    init(count: Int = 0) {
        self.count = count
    }

    mutating func add(
        _ play: Play, arrival: MonotonicInstant, realtimeBelow: Int, to changes: inout [CountChange]
    ) {
        count += 1
        if changeIndex < changes.count, changes[Int(changeIndex)].videoID == play.videoID {
            changes[Int(changeIndex)].count = count
        } else {
            changeIndex = UInt32(changes.count)
            changes.append(
                CountChange(
                    videoID: play.videoID, count: count, arrival: arrival,
                    isImmediate: count < realtimeBelow))
        }
    }
}
