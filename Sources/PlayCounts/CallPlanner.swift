/// The referee: how few calls would do for the same arrivals, by a planner that knows them all,
/// needs no time for a call, and so leaves every count until its very last moment.
///
/// It calls whenever a deadline is reached, and fills its calls by earliest deadline. All immediate
/// counts are promised the same delay, and so are all others; so in either kind the earliest
/// deadline is the one that began to wait first, and two plain queues do. That is on purpose not how
/// `CountPublisher` does it: a mistake there shows in the ratio.
///
/// If no waiting video is played again, that is the fewest there can be. If some are, it matters
/// which of several videos fill a call: best are those that will then be quiet for longest, and that
/// nobody knows when the call is made. So of videos with the same deadline, as all of one batch
/// have, a run may happen to take the better ones, and come out a call below the plan. Then the run
/// itself shows how few would do: ``fewest(planned:made:)``.
package struct CallPlanner {
    /// The calls so far. Those for what still waits are in `callsToTheEnd`.
    package private(set) var calls = 0

    private let videosPerCall: Int
    private let freshness: Duration
    private let coalesce: Duration
    private var immediate = Line()
    private var others = Line()
    /// The deadline of each video that waits.
    private var waiting: [VideoID: Instant] = [:]

    package init(
        videosPerCall: Int = 20, freshness: Duration = .seconds(60), coalesce: Duration = .zero
    ) {
        self.videosPerCall = videosPerCall
        self.freshness = freshness
        self.coalesce = min(coalesce, freshness)
    }

    /// The calls if nothing more came in.
    package var callsToTheEnd: Int {
        calls + (waiting.count + videosPerCall - 1) / videosPerCall
    }

    /// How few calls are known to do, where so many were planned and so many made.
    package static func fewest(planned: Int, made: Int) -> Int { min(planned, made) }

    /// Takes a batch as it was committed, in order of time.
    package mutating func receive(_ changes: [CountChange], at now: Instant) {
        while let deadline = firstDeadline, deadline < now { call() }
        for change in changes {
            let delay = change.isImmediate ? coalesce : freshness
            // What was due before it was committed is due now.
            let deadline = max(change.arrival + delay, now)
            if let earlier = waiting[change.videoID], earlier <= deadline { continue }
            waiting[change.videoID] = deadline
            if change.isImmediate {
                immediate.append(change.videoID, deadline)
            } else {
                others.append(change.videoID, deadline)
            }
        }
        // An immediate play may have moved a video from the head of one line to the other.
        dropPublished()
        while let deadline = firstDeadline, deadline <= now { call() }
    }

    private var firstDeadline: Instant? {
        guard let first = immediate.first, let other = others.first else {
            return immediate.first?.deadline ?? others.first?.deadline
        }
        return min(first.deadline, other.deadline)
    }

    private mutating func call() {
        calls += 1
        for _ in 0..<videosPerCall {
            guard let deadline = firstDeadline else { break }
            let isImmediate = immediate.first?.deadline == deadline
            let videoID = isImmediate ? immediate.first?.videoID : others.first?.videoID
            waiting[videoID!] = nil
            dropPublished()
        }
    }

    /// Those at the heads wait, so that a deadline there is a true one.
    private mutating func dropPublished() {
        while let first = immediate.first, waiting[first.videoID] != first.deadline {
            immediate.removeFirst()
        }
        while let first = others.first, waiting[first.videoID] != first.deadline {
            others.removeFirst()
        }
    }
}

/// Videos in the order in which they began to wait.
private struct Line {
    private var places: [(videoID: VideoID, deadline: Instant)] = []
    private var head = 0

    var first: (videoID: VideoID, deadline: Instant)? {
        head < places.count ? places[head] : nil
    }

    mutating func append(_ videoID: VideoID, _ deadline: Instant) {
        places.append((videoID, deadline))
    }

    mutating func removeFirst() {
        head += 1
        guard head > places.count / 2 else { return }
        places.removeFirst(head)
        head = 0
    }
}
