import HeapModule
import TallyBasics

/// Decides which counts are sent to a client, when, and in which call, with as few calls as
/// possible.
///
/// Each video whose count has changed since it was last published is pending, with a deadline. The
/// deadline is the arrival of its oldest unpublished play plus the freshness, minus a margin for
/// the duration of the call. If the video's total is still below the realtime bound after a play,
/// the deadline is the arrival of that play plus the coalescing delay. When a call is due, its free
/// slots are filled with the pending videos that have the earliest deadlines. Filling a free slot
/// never causes an additional call: if the video is played again, its new deadline is later than
/// the old one.
///
/// Calls are made in rounds. A round contains each video at most once, and starts only after every
/// call of the previous round is answered. So a client never receives an older total after a newer
/// one. Changes that arrive during a round wait for the next round and share its calls.
package struct CallScheduler {
    /// The settings of a scheduler.
    package struct Settings: Sendable {
        /// The maximum number of videos in one call.
        package var videosPerCall = 20
        /// The maximum time from a play to the call that publishes it.
        package var freshness = Duration.seconds(60)
        /// The time that an immediate count waits for other counts to share its call. A longer
        /// delay leads to fewer calls. With a delay of zero, only counts of the same batch share
        /// calls.
        package var coalesce = Duration.zero
        /// The time reserved for the call itself, which is subtracted from the freshness. With half
        /// a second, counts are published every 59.5 s instead of every 60 s, which costs one
        /// additional call in 119.
        package var margin = Duration.milliseconds(500)
        /// The maximum number of calls in one round. A client that was unreachable for hours
        /// receives its counts in several rounds.
        package var callsPerRound = 100

        package init() {}
    }

    private struct Pending {
        var count: Int
        var deadline: MonotonicInstant
        var isImmediate: Bool
    }

    private struct QueueEntry: Comparable {
        let deadline: MonotonicInstant
        let videoID: VideoID

        static func < (left: QueueEntry, right: QueueEntry) -> Bool {
            (left.deadline, left.videoID.high) < (right.deadline, right.videoID.high)
        }
    }

    private let settings: Settings
    private let batchedDelay: Duration
    private let immediateDelay: Duration
    private var pending: [VideoID: Pending] = [:]
    // INVARIANT: contains an entry with the current deadline of every pending video, and its first
    // entry is such an entry. Other entries may be outdated; their number is at most that of
    // `pending` plus 64.
    private var queue = Heap<QueueEntry>()
    private var outstandingCalls: [Int: Call] = [:]
    private var lastCallNumber = 0
    /// The end of the pause after a failed call; `nil` if there is no pause.
    private var pausedUntil: MonotonicInstant?

    package init(_ settings: Settings = Settings()) {
        precondition(
            settings.videosPerCall > 0 && settings.callsPerRound > 0,
            "a call and a round must have at least one slot")
        self.settings = settings
        batchedDelay = max(.zero, settings.freshness - settings.margin)
        immediateDelay = min(batchedDelay, settings.coalesce)
    }

    /// The number of videos with an unpublished count that no outstanding call contains.
    package var pendingVideos: Int { pending.count }

    /// `true` if some calls were started and not answered yet.
    package var hasOutstandingCalls: Bool { !outstandingCalls.isEmpty }

    /// The number of videos whose latest count no accepted call contains.
    package var unpublishedVideos: Int {
        let outstanding = outstandingCalls.values.lazy.flatMap(\.videos)
        return pending.count + outstanding.count { pending[$0.count.videoID] == nil }
    }

    /// The arrival of the oldest play that no accepted call contains; `nil` if there is none. For a
    /// count that an earlier run left unpublished, the arrival is computed from the deadline.
    package var oldestArrival: MonotonicInstant? {
        let outstanding = outstandingCalls.values.lazy.flatMap(\.videos).map(arrival)
        return [outstanding.min(), oldestPendingArrival].compactMap(\.self).min()
    }

    private var oldestPendingArrival: MonotonicInstant? {
        guard let first = queue.min, let video = pending[first.videoID] else { return nil }
        // Batched counts wait the longest. So if the first count is batched, no count with a later
        // deadline has an older play.
        guard video.isImmediate else {
            return arrival(deadline: video.deadline, isImmediate: false)
        }
        // This search of all counts is rare: immediate counts wait only while the client accepts no
        // calls.
        return pending.values.lazy
            .map { arrival(deadline: $0.deadline, isImmediate: $0.isImmediate) }.min()
    }

    /// The arrival of the oldest play of a count.
    package func arrival(of video: Call.Video) -> MonotonicInstant {
        arrival(deadline: video.deadline, isImmediate: video.isImmediate)
    }

    private func arrival(deadline: MonotonicInstant, isImmediate: Bool) -> MonotonicInstant {
        deadline + (.zero - (isImmediate ? immediateDelay : batchedDelay))
    }

    /// The time at which the next calls are due; `nil` if no count is pending, or if calls are
    /// outstanding.
    ///
    /// - Parameter flushing: if `true`, every pending count is due.
    package func nextDeadline(flushing: Bool = false) -> MonotonicInstant? {
        guard outstandingCalls.isEmpty, let first = queue.min else { return nil }
        let deadline = flushing ? .start : first.deadline
        return max(deadline, pausedUntil ?? deadline)
    }

    /// Enqueues the changes of a committed batch.
    package mutating func enqueue(_ changes: [CountChange]) {
        for change in changes {
            let delay = change.isImmediate ? immediateDelay : batchedDelay
            merge(
                change.videoID,
                Pending(
                    count: change.count, deadline: change.arrival + delay,
                    isImmediate: change.isImmediate))
        }
        removeOutdatedEntries()
    }

    /// Enqueues counts that an earlier run committed but did not publish. The store does not have
    /// the arrival of their plays, so their deadline is a parameter.
    package mutating func enqueue(_ counts: [PlayCount], dueAt deadline: MonotonicInstant) {
        for count in counts {
            merge(
                count.videoID,
                Pending(count: count.count, deadline: deadline, isImmediate: false))
        }
        removeOutdatedEntries()
    }

    /// Ends the pause after a failed call.
    package mutating func endPause(at now: MonotonicInstant) {
        if let pausedUntil { self.pausedUntil = min(pausedUntil, now) }
    }

    /// Starts the next round of calls. The round is empty while nothing is due, while calls are
    /// outstanding, or during the pause after a failed call.
    ///
    /// - Parameter flushing: if `true`, every pending count is due.
    /// - Returns: the calls to make; report each with ``callAccepted(_:)`` or
    ///   ``callFailed(_:retryAt:)``.
    package mutating func startDueCalls(
        at now: MonotonicInstant, flushing: Bool = false
    ) -> [Call] {
        guard outstandingCalls.isEmpty, now >= pausedUntil ?? now else { return [] }
        // After a failure, a single call tests whether the client is reachable again.
        let calls = pausedUntil == nil ? settings.callsPerRound : 1
        let latestDeadline = flushing ? MonotonicInstant(nanoseconds: .max) : now
        var videos: [Call.Video] = []
        while videos.count < calls * settings.videosPerCall, let first = queue.min,
            first.deadline <= latestDeadline
        {
            videos.append(removeFirst())
        }
        while videos.count % settings.videosPerCall != 0, queue.min != nil {
            videos.append(removeFirst())
        }
        return stride(from: 0, to: videos.count, by: settings.videosPerCall).map { start in
            lastCallNumber += 1
            let end = min(start + settings.videosPerCall, videos.count)
            let call = Call(number: lastCallNumber, videos: Array(videos[start..<end]))
            outstandingCalls[call.number] = call
            return call
        }
    }

    /// Reports that the client has accepted a call.
    package mutating func callAccepted(_ call: Call) {
        removeOutstanding(call)
        pausedUntil = nil
    }

    /// Reports that a call has failed. Its counts become pending again, unless newer ones are
    /// pending already.
    ///
    /// - Parameter retry: the time before which no call is made.
    package mutating func callFailed(_ call: Call, retryAt retry: MonotonicInstant) {
        removeOutstanding(call)
        pausedUntil = max(retry, pausedUntil ?? retry)
        for video in call.videos {
            merge(
                video.count.videoID,
                Pending(
                    count: video.count.count, deadline: video.deadline,
                    isImmediate: video.isImmediate))
        }
        removeOutdatedEntries()
    }

    private mutating func removeOutstanding(_ call: Call) {
        let wasOutstanding = outstandingCalls.removeValue(forKey: call.number) != nil
        precondition(wasOutstanding, "call \(call.number) is answered exactly once")
    }

    /// Merges a change with the pending change of the same video. The newer total and the earlier
    /// deadline apply.
    private mutating func merge(_ videoID: VideoID, _ new: Pending) {
        guard let old = pending[videoID] else {
            pending[videoID] = new
            queue.insert(QueueEntry(deadline: new.deadline, videoID: videoID))
            return
        }
        let merged = Pending(
            count: max(old.count, new.count), deadline: min(old.deadline, new.deadline),
            isImmediate: old.isImmediate || new.isImmediate)
        pending[videoID] = merged
        if merged.deadline < old.deadline {
            queue.insert(QueueEntry(deadline: merged.deadline, videoID: videoID))
        }
    }

    private mutating func removeFirst() -> Call.Video {
        let first = queue.removeMin()
        let video = pending.removeValue(forKey: first.videoID)!
        removeOutdatedEntries()
        return Call.Video(
            count: PlayCount(of: first.videoID, video.count), deadline: video.deadline,
            isImmediate: video.isImmediate)
    }

    /// Restores the invariant of `queue`.
    private mutating func removeOutdatedEntries() {
        while let first = queue.min, pending[first.videoID]?.deadline != first.deadline {
            queue.removeMin()
        }
        if queue.count > 2 * pending.count + 64 {
            queue = Heap(pending.map { QueueEntry(deadline: $1.deadline, videoID: $0) })
        }
    }
}
