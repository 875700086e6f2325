import TallyBasics

/// Computes the minimum number of calls for the same batches, for a comparison with the number of
/// calls that ``CallScheduler`` made.
///
/// It simulates a call only when a deadline is reached, and fills its slots with the videos that
/// have the earliest deadlines. Unlike the scheduler, it reserves no time for the call itself. All
/// immediate counts may wait equally long, and so may all batched counts. So each kind has a FIFO
/// queue, and the earliest deadline is at the head of one of the two queues. The scheduler uses a
/// heap instead. Because the implementations differ, an error in one of them shows in the ratio of
/// actual to simulated calls.
///
/// The result is the exact minimum if no video is played again while it is pending. Otherwise, the
/// minimum depends on which videos fill the free slots. The best choice would be the videos whose
/// next play is the furthest in the future, but the time of the next play is unknown when the call
/// is made. All videos of a batch have the same deadline, so an actual run can by chance choose
/// better videos and make fewer calls than the simulation. ``fewest(planned:made:)`` accounts for
/// this.
package struct MinimumCalls {
    /// The number of simulated calls so far, without the calls that the pending videos still need.
    package private(set) var calls = 0

    private let videosPerCall: Int
    private let freshness: Duration
    private let coalesce: Duration
    private var immediate = DueVideos()
    private var others = DueVideos()
    private var deadlines: [VideoID: MonotonicInstant] = [:]

    package init(
        videosPerCall: Int = 20, freshness: Duration = .seconds(60), coalesce: Duration = .zero
    ) {
        self.videosPerCall = videosPerCall
        self.freshness = freshness
        self.coalesce = min(coalesce, freshness)
    }

    /// The number of simulated calls, including those for the pending videos, if no more batches
    /// follow.
    package var totalCalls: Int {
        calls + (deadlines.count + videosPerCall - 1) / videosPerCall
    }

    /// Returns the minimum number of calls: the lower of the simulated (`planned`) and the actual
    /// (`made`) number, because a run can make fewer calls than the simulation.
    package static func fewest(planned: Int, made: Int) -> Int { min(planned, made) }

    /// Adds a committed batch. Batches must be added in the order of their commits.
    package mutating func add(_ changes: [CountChange], at now: MonotonicInstant) {
        while let deadline = firstDeadline, deadline < now { makeCall() }
        for change in changes {
            let delay = change.isImmediate ? coalesce : freshness
            // A count cannot be published before it is committed.
            let deadline = max(change.arrival + delay, now)
            if let earlier = deadlines[change.videoID], earlier <= deadline { continue }
            deadlines[change.videoID] = deadline
            if change.isImmediate {
                immediate.append(change.videoID, deadline)
            } else {
                others.append(change.videoID, deadline)
            }
        }
        // An immediate play of a video makes its entry in the other queue outdated, and this entry
        // may be the first one.
        removeOutdatedEntries()
        while let deadline = firstDeadline, deadline <= now { makeCall() }
    }

    private var firstDeadline: MonotonicInstant? {
        guard let first = immediate.first, let other = others.first else {
            return immediate.first?.deadline ?? others.first?.deadline
        }
        return min(first.deadline, other.deadline)
    }

    private mutating func makeCall() {
        calls += 1
        for _ in 0..<videosPerCall {
            guard let deadline = firstDeadline else { break }
            let isImmediate = immediate.first?.deadline == deadline
            let videoID = isImmediate ? immediate.first?.videoID : others.first?.videoID
            deadlines[videoID!] = nil
            removeOutdatedEntries()
        }
    }

    /// Removes outdated entries from the front of both queues. An entry is current if it has the
    /// deadline of its video.
    private mutating func removeOutdatedEntries() {
        while let first = immediate.first, deadlines[first.videoID] != first.deadline {
            immediate.removeFirst()
        }
        while let first = others.first, deadlines[first.videoID] != first.deadline {
            others.removeFirst()
        }
    }
}

/// A FIFO queue of videos with their deadlines.
private struct DueVideos {
    private var entries: [(videoID: VideoID, deadline: MonotonicInstant)] = []
    private var head = 0

    var first: (videoID: VideoID, deadline: MonotonicInstant)? {
        head < entries.count ? entries[head] : nil
    }

    mutating func append(_ videoID: VideoID, _ deadline: MonotonicInstant) {
        entries.append((videoID, deadline))
    }

    mutating func removeFirst() {
        head += 1
        guard head > entries.count / 2 else { return }
        entries.removeFirst(head)
        head = 0
    }
}
