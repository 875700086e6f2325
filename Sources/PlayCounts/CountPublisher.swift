import HeapModule

/// Decides which counts go to the client, when and in which call, with as few calls as it can.
///
/// Every video whose count changed since it was last published waits here with a deadline: when
/// its oldest unpublished play came in, plus the freshness promised, less a margin for the call
/// itself; or no delay but what is given to coalescing, if a play left it below the realtime bound. As soon as one is due,
/// a call must be made. It then costs nothing to fill it up, so it takes along those whose turn
/// would be next. A count goes out early at worst, and that only puts its next deadline off.
///
/// One round of calls is under way at a time, and a video is in one of them at most. So no total
/// can overtake another on its way, and what comes in meanwhile shares the next round.
package struct CountPublisher {
    package struct Settings: Sendable {
        package var videosPerCall = 20
        package var freshness = Duration.seconds(60)
        /// How long an immediate play may wait for others to share its call: fewer calls, for a
        /// delay. With none, those of a batch share one.
        package var coalesce = Duration.zero
        /// Taken off the freshness, for the call's own way. Half a second costs at most one call
        /// in 119 more than a publisher that takes no time at all.
        package var margin = Duration.milliseconds(500)
        /// The most calls in one round; a client that comes back after hours is caught up in
        /// several.
        package var callsPerRound = 100

        package init() {}
    }

    private struct Waiting {
        var count: Int
        var deadline: Instant
        var isImmediate: Bool
    }

    private struct Due: Comparable {
        let deadline: Instant
        let videoID: VideoID

        static func < (left: Due, right: Due) -> Bool {
            (left.deadline, left.videoID.high) < (right.deadline, right.videoID.high)
        }
    }

    package let settings: Settings
    private let patience: Duration
    private let immediatePatience: Duration
    private var waiting: [VideoID: Waiting] = [:]
    // INVARIANT: holds every waiting video under its deadline, and that of the least is true.
    // Others may be left over from a deadline since moved forward; never more than `waiting`
    // and 64.
    private var queue = Heap<Due>()
    private var underWay: Set<Int> = []
    private var lastNumber = 0
    private var quietUntil: Instant?

    package init(_ settings: Settings = Settings()) {
        precondition(settings.videosPerCall > 0 && settings.callsPerRound > 0, "a call has room")
        self.settings = settings
        patience = max(.zero, settings.freshness - settings.margin)
        immediatePatience = min(patience, settings.coalesce)
    }

    /// How many counts are not published yet, those under way left aside.
    package var waitingVideos: Int { waiting.count }

    package var hasCallsUnderWay: Bool { !underWay.isEmpty }

    /// When to ask for calls next, if nothing happens before. `nil` with nothing to publish, or
    /// with calls under way: their answers come first.
    ///
    /// - Parameter flushing: all that waits is due.
    package func nextDeadline(flushing: Bool = false) -> Instant? {
        guard underWay.isEmpty, let first = queue.min else { return nil }
        let deadline = flushing ? .start : first.deadline
        return max(deadline, quietUntil ?? deadline)
    }

    /// Takes what a committed batch changed.
    package mutating func receive(_ changes: [CountChange]) {
        for change in changes {
            let deadline = change.arrival + (change.isImmediate ? immediatePatience : patience)
            wait(
                change.videoID,
                Waiting(count: change.count, deadline: deadline, isImmediate: change.isImmediate))
        }
        settle()
    }

    /// Takes counts that an earlier run committed and did not publish. When their plays came in
    /// is not known any more, so they are due at once.
    package mutating func catchUp(with counts: [PlayCount], at now: Instant) {
        for count in counts {
            wait(
                count.videoID, Waiting(count: count.count, deadline: now, isImmediate: false))
        }
        settle()
    }

    /// Ends the pause after a failure, so that the client can be tried once more.
    package mutating func endPause(at now: Instant) {
        if let quietUntil { self.quietUntil = min(quietUntil, now) }
    }

    /// The calls to make now: none while nothing is due, while calls are under way, or in the
    /// pause after a failure.
    ///
    /// A round is bounded: when all of its calls have been answered, ask again.
    ///
    /// - Parameter flushing: takes all that waits for due, as before the end.
    package mutating func calls(at now: Instant, flushing: Bool = false) -> [Call] {
        guard underWay.isEmpty, now >= quietUntil ?? now else { return [] }
        // After a failure one call goes ahead, to see whether the client is back.
        let round = quietUntil == nil ? settings.callsPerRound : 1
        let horizon = flushing ? Instant(nanoseconds: .max) : now
        var videos: [Call.Video] = []
        while videos.count < round * settings.videosPerCall, let first = queue.min,
            first.deadline <= horizon
        {
            videos.append(takeFirst())
        }
        while videos.count % settings.videosPerCall != 0, queue.min != nil {
            videos.append(takeFirst())
        }
        return stride(from: 0, to: videos.count, by: settings.videosPerCall).map { start in
            lastNumber += 1
            underWay.insert(lastNumber)
            let end = min(start + settings.videosPerCall, videos.count)
            return Call(number: lastNumber, videos: Array(videos[start..<end]))
        }
    }

    /// The client has the call. Note its counts as published in the store.
    package mutating func accepted(_ call: Call) {
        answered(call)
        quietUntil = nil
    }

    /// The client does not have the call. Its videos wait again, with newer totals where there
    /// are any, and no call is made before `retry`.
    package mutating func failed(_ call: Call, retryAt retry: Instant) {
        answered(call)
        quietUntil = max(retry, quietUntil ?? retry)
        for video in call.videos {
            wait(
                video.count.videoID,
                Waiting(
                    count: video.count.count, deadline: video.deadline,
                    isImmediate: video.isImmediate))
        }
        settle()
    }

    private mutating func answered(_ call: Call) {
        let wasUnderWay = underWay.remove(call.number) != nil
        precondition(wasUnderWay, "call \(call.number) is answered once")
    }

    /// Merges with what waits already: the newer total, the earlier deadline.
    private mutating func wait(_ videoID: VideoID, _ new: Waiting) {
        guard let old = waiting[videoID] else {
            waiting[videoID] = new
            queue.insert(Due(deadline: new.deadline, videoID: videoID))
            return
        }
        let merged = Waiting(
            count: max(old.count, new.count), deadline: min(old.deadline, new.deadline),
            isImmediate: old.isImmediate || new.isImmediate)
        waiting[videoID] = merged
        if merged.deadline < old.deadline {
            queue.insert(Due(deadline: merged.deadline, videoID: videoID))
        }
    }

    private mutating func takeFirst() -> Call.Video {
        let first = queue.removeMin()
        let video = waiting.removeValue(forKey: first.videoID)!
        settle()
        return Call.Video(
            count: PlayCount(of: first.videoID, video.count), deadline: video.deadline,
            isImmediate: video.isImmediate)
    }

    /// Restores the invariant of `queue`.
    private mutating func settle() {
        while let first = queue.min, waiting[first.videoID]?.deadline != first.deadline {
            queue.removeMin()
        }
        if queue.count > 2 * waiting.count + 64 {
            queue = Heap(waiting.map { Due(deadline: $1.deadline, videoID: $0) })
        }
    }
}
