/// The referee: how few calls would do for the same arrivals, by a planner that knows them all,
/// needs no time for a call, and so leaves every count until its very last moment.
///
/// It calls at every batch with an immediate play and at every deadline, and fills its calls by
/// earliest deadline. All videos are promised the same freshness, so the earliest deadline is the
/// one that began to wait first, and a plain queue does. That is on purpose not how
/// `CountPublisher` does it: a mistake there shows in the ratio.
package struct CallPlanner {
    /// The calls so far. Those for what still waits are in `callsToTheEnd`.
    package private(set) var calls = 0

    private let videosPerCall: Int
    private let freshness: Duration
    private var queue: [(videoID: VideoID, deadline: Instant)] = []
    private var head = 0
    private var waiting: Set<VideoID> = []

    package init(videosPerCall: Int = 20, freshness: Duration = .seconds(60)) {
        self.videosPerCall = videosPerCall
        self.freshness = freshness
    }

    /// The calls if nothing more came in.
    package var callsToTheEnd: Int {
        calls + (waiting.count + videosPerCall - 1) / videosPerCall
    }

    /// Takes a batch as it was committed, in order of time.
    package mutating func receive(_ changes: [CountChange], at now: Instant) {
        while let deadline = queue[head...].first?.deadline, deadline < now {
            publish(videosPerCall)
            calls += 1
        }
        var immediate = 0
        for change in changes {
            if change.isImmediate {
                immediate += 1
                waiting.remove(change.videoID)
            } else if waiting.insert(change.videoID).inserted {
                queue.append((change.videoID, change.arrival + freshness))
            }
        }
        let needed = (immediate + videosPerCall - 1) / videosPerCall
        publish(needed * videosPerCall - immediate)
        calls += needed
    }

    /// Takes up to `room` videos from the head of the queue, and then whatever at the head is no
    /// longer waiting, so that a deadline there is a true one.
    private mutating func publish(_ room: Int) {
        var room = room
        while head < queue.count {
            let videoID = queue[head].videoID
            if waiting.contains(videoID) {
                guard room > 0 else { break }
                waiting.remove(videoID)
                room -= 1
            }
            head += 1
        }
        if head > queue.count / 2 {
            queue.removeFirst(head)
            head = 0
        }
    }
}
