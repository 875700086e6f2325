import PlayCounts

/// What a processor has to tell a page and the page has not heard yet.
///
/// Bounded: beyond `maxCalls` only the totals are kept, one a video, and beyond `maxChanges` no more
/// batches. A page that comes late then shows all the same totals, and no longer how they came about.
struct News: Sendable {
    struct Missed: Sendable {
        var calls = 0
        var immediateCalls = 0
        var videos = 0
        /// The last total of each video, and when it was called.
        var totals: [VideoID: (count: Int, call: Int, isImmediate: Bool, instant: Instant)] = [:]
    }

    private(set) var calls: [(call: Call, instant: Instant)] = []
    private(set) var missed = Missed()
    private(set) var commits: [(changes: [CountChange], instant: Instant)] = []
    private(set) var hasMissedCommits = false
    /// Plays counted since the processor started.
    private(set) var counted = 0
    private var changes = 0

    static let maxCalls = 8_192
    static let maxChanges = 500_000

    var isEmpty: Bool { calls.isEmpty && missed.calls == 0 && commits.isEmpty && !hasMissedCommits }

    mutating func called(_ call: Call, at instant: Instant) {
        // What comes behind a call that is only a sum is only a sum, too.
        guard calls.count == Self.maxCalls else { return calls.append((call, instant)) }
        missed.calls += 1
        missed.immediateCalls += call.isImmediate ? 1 : 0
        missed.videos += call.videos.count
        for video in call.videos {
            missed.totals[video.count.videoID] =
                (video.count.count, call.number, video.isImmediate, instant)
        }
    }

    mutating func committed(_ batch: [CountChange], at instant: Instant, counted: Int) {
        self.counted = counted
        guard changes + batch.count <= Self.maxChanges else { return hasMissedCommits = true }
        changes += batch.count
        commits.append((batch, instant))
    }

    /// All of it, and none is left.
    mutating func take() -> News {
        defer { self = News() }
        return self
    }
}

extension Call {
    /// Whether the rule of the first hundred plays asked for it; what it was filled up with does
    /// not count.
    var isImmediate: Bool { videos.contains(where: \.isImmediate) }
}
