import PlayCounts

/// What a processor has to tell a page and the page has not heard yet.
///
/// Bounded: beyond `maxCalls` only the totals are kept, one a video. A page that comes late then
/// shows all the same totals, and no longer how they came about.
struct News: Sendable {
    struct Missed: Sendable {
        var calls = 0
        var immediateCalls = 0
        var videos = 0
        /// The last total of each video. When it was called is on the loops' clock here.
        var totals = VideoTable()
    }

    fileprivate(set) var calls: [(call: Call, instant: Instant)] = []
    fileprivate(set) var missed = Missed()
    /// Plays counted since the processor started.
    fileprivate(set) var counted = 0
    /// Videos whose totals are committed and not called yet.
    fileprivate(set) var waitingVideos = 0
    /// How many calls a plan that knows all arrivals needs.
    fileprivate(set) var plannedCalls = 0
    fileprivate(set) var isEmpty = true

    static let maxCalls = 4_096
}

/// Where the processor leaves its news, and the page takes them.
///
/// What is to be known of every batch, however late the page is, is reckoned here: what a batch
/// changed is called a moment later, so that it takes next to no memory, where a page that had the
/// batches to catch up with would take as much as the store.
struct NewsDesk: Sendable {
    private var news = News()
    private var planner: CallPlanner
    /// The totals committed and not called yet.
    private var waiting: [VideoID: Int] = [:]

    init(of settings: PageSettings) {
        planner = CallPlanner(
            videosPerCall: settings.videosPerCall, freshness: settings.freshness,
            coalesce: settings.coalesce)
    }

    /// There is nothing to take.
    var isEmpty: Bool { news.isEmpty }

    mutating func called(_ call: Call, at instant: Instant) {
        news.isEmpty = false
        for video in call.videos {
            if let count = waiting[video.count.videoID], count <= video.count.count {
                waiting[video.count.videoID] = nil
            }
        }
        // What comes behind a call that is only a sum is only a sum, too.
        guard news.calls.count == News.maxCalls else {
            return news.calls.append((call, instant))
        }
        news.missed.calls += 1
        news.missed.immediateCalls += call.isImmediate ? 1 : 0
        news.missed.videos += call.videos.count
        for video in call.videos {
            news.missed.totals.publish(
                VideoTable.Row(video, of: call, updated: instant.milliseconds))
        }
    }

    mutating func committed(_ changes: [CountChange], at instant: Instant, counted: Int) {
        news.isEmpty = false
        news.counted = counted
        planner.receive(changes, at: instant)
        for change in changes { waiting[change.videoID] = change.count }
    }

    /// All of it, and none is left.
    mutating func take() -> News {
        var taken = News()
        swap(&taken, &news)
        news.counted = taken.counted
        taken.waitingVideos = waiting.count
        taken.plannedCalls = planner.callsToTheEnd
        return taken
    }
}

extension Call {
    /// Whether the rule of the first hundred plays asked for it; what it was filled up with does
    /// not count.
    var isImmediate: Bool { videos.contains(where: \.isImmediate) }
}

extension VideoTable.Row {
    init(_ video: Call.Video, of call: Call, updated: Int64) {
        self.init(
            videoID: video.count.videoID, count: video.count.count, updated: updated,
            call: UInt32(truncatingIfNeeded: call.number), isImmediate: video.isImmediate)
    }
}

extension Instant {
    /// On the clock of the loops.
    var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
