import PlayCounts

/// What the page says beside the table: calls, how few would do, and plays and calls a second. Pure.
struct Figures {
    /// What one second of the wall clock brought.
    struct Second {
        /// Since 1970.
        let second: Int64
        var plays = 0
        var immediateCalls = 0
        var batchedCalls = 0
    }

    /// Plays counted since the start.
    private(set) var counted = 0
    private(set) var immediateCalls = 0
    private(set) var batchedCalls = 0
    private var calledVideos = 0
    /// The longest that an immediate play waited for its call.
    private(set) var worstImmediate = Duration.zero
    /// The longest that any other went out after its deadline.
    private(set) var worstLateness = Duration.zero
    /// The last two minutes, those in which nothing happened left out.
    private(set) var seconds: [Second] = []
    var queue: QueueState?

    /// Videos whose totals are committed and not called yet.
    private(set) var waitingVideos = 0
    private var plannedCalls = 0
    private let videosPerCall: Int
    private let coalesce: Duration

    static let rememberedSeconds = 120

    init(of settings: PageSettings) {
        videosPerCall = settings.videosPerCall
        coalesce = settings.coalesce
    }

    var calls: Int { immediateCalls + batchedCalls }
    /// Places for videos in calls that had too few to fill them.
    var emptySlots: Int { max(0, calls * videosPerCall - calledVideos) }

    /// How few calls are known to do for the same plays, if nothing more came in.
    var leastCalls: Int { CallPlanner.fewest(planned: plannedCalls, made: callsToTheEnd) }

    /// What the calls come to, with those for what waits, beside the fewest.
    var callsRatio: Double {
        leastCalls > 0 ? Double(callsToTheEnd) / Double(leastCalls) : 1
    }

    private var callsToTheEnd: Int {
        calls + (waitingVideos + videosPerCall - 1) / videosPerCall
    }

    // MARK: Hearing

    /// What the desk has reckoned.
    mutating func hear(_ news: News) {
        (waitingVideos, plannedCalls) = (news.waitingVideos, news.plannedCalls)
    }

    mutating func called(_ call: Call, at instant: Instant, second: Int64) {
        let isImmediate = call.isImmediate
        for video in call.videos {
            let wait = instant - video.deadline
            if video.isImmediate {
                worstImmediate = max(worstImmediate, wait + coalesce)
            } else {
                worstLateness = max(worstLateness, wait)
            }
        }
        add(isImmediate ? 1 : 0, isImmediate ? 0 : 1, call.videos.count, second)
    }

    /// Calls of which only the sum is known.
    mutating func missed(_ missed: News.Missed, second: Int64) {
        add(missed.immediateCalls, missed.calls - missed.immediateCalls, missed.videos, second)
    }

    mutating func counted(_ count: Int, second: Int64) {
        guard count > counted else { return }
        let plays = count - counted
        counted = count
        change(second) { $0.plays += plays }
    }

    private mutating func add(_ immediate: Int, _ batched: Int, _ videos: Int, _ second: Int64) {
        guard immediate + batched > 0 else { return }
        immediateCalls += immediate
        batchedCalls += batched
        calledVideos += videos
        change(second) {
            $0.immediateCalls += immediate
            $0.batchedCalls += batched
        }
    }

    /// Adds to the present second. A clock that was set back stays in the second it had reached.
    private mutating func change(_ second: Int64, _ body: (inout Second) -> Void) {
        if seconds.last.map({ $0.second < second }) ?? true {
            seconds.append(Second(second: second))
            seconds.removeAll { $0.second <= second - Int64(Self.rememberedSeconds) }
        }
        body(&seconds[seconds.count - 1])
    }
}
