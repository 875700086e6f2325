import PlayCounts
import TallyBasics

/// The calls and commits of the processor since the page's last update.
///
/// An update contains the first `maxCalls` calls individually. For later calls, it contains only
/// their number by kind, and the last total of each video. So its size is bounded by `maxCalls` and
/// the number of videos. A page that is far behind shows the correct totals without the individual
/// calls.
struct PageUpdate: Sendable {
    /// A summary of the calls beyond `maxCalls`.
    struct SkippedCalls: Sendable {
        var calls = CallCounts()
        /// The last total of each video. `updated` is in milliseconds on the monotonic clock.
        var totals = VideoTable()
    }

    fileprivate(set) var calls: [(call: Call, instant: MonotonicInstant)] = []
    fileprivate(set) var skipped = SkippedCalls()
    /// The number of plays counted since the processor started.
    fileprivate(set) var counted = 0
    /// The number of videos with a committed total that is not published yet.
    fileprivate(set) var waitingVideos = 0
    /// The minimum number of calls, which `MinimumCalls` computes as if all plays were known in
    /// advance.
    fileprivate(set) var plannedCalls = 0
    fileprivate(set) var isEmpty = true

    static let maxCalls = 4_096
}

/// Collects the processor's calls and commits until the page takes them in one update.
///
/// The queue computes the minimum number of calls and the waiting videos at each commit. To compute
/// them later, the page would have to keep all commits, which need as much memory as the store.
struct UpdateQueue: Sendable {
    private var update = PageUpdate()
    private var minimumCalls: MinimumCalls
    /// The totals that are committed and not published yet.
    private var waiting: [VideoID: Int] = [:]

    init(of settings: PageSettings) {
        minimumCalls = MinimumCalls(
            videosPerCall: settings.videosPerCall, freshness: settings.freshness,
            coalesce: settings.coalesce)
    }

    var isEmpty: Bool { update.isEmpty }

    /// Appends a call that a client accepted.
    mutating func append(_ call: Call, at instant: MonotonicInstant) {
        update.isEmpty = false
        for video in call.videos {
            if let count = waiting[video.count.videoID], count <= video.count.count {
                waiting[video.count.videoID] = nil
            }
        }
        guard update.calls.count == PageUpdate.maxCalls else {
            return update.calls.append((call, instant))
        }
        update.skipped.calls.add(call)
        for video in call.videos {
            update.skipped.totals.update(
                VideoTable.Row(video, of: call, updated: instant.milliseconds))
        }
    }

    /// Appends a commit.
    ///
    /// - Parameter counted: plays counted since the processor started.
    mutating func append(_ changes: [CountChange], at instant: MonotonicInstant, counted: Int) {
        update.isEmpty = false
        update.counted = counted
        minimumCalls.add(changes, at: instant)
        for change in changes { waiting[change.videoID] = change.count }
    }

    /// Returns the collected update, and starts a new one.
    mutating func removeUpdate() -> PageUpdate {
        var removed = PageUpdate()
        swap(&removed, &update)
        update.counted = removed.counted
        removed.waitingVideos = waiting.count
        removed.plannedCalls = minimumCalls.totalCalls
        return removed
    }
}

extension VideoTable.Row {
    init(_ video: Call.Video, of call: Call, updated: Int64) {
        self.init(
            videoID: video.count.videoID, count: video.count.count, updated: updated,
            call: UInt32(truncatingIfNeeded: call.number), isImmediate: video.isImmediate)
    }
}

extension MonotonicInstant {
    var milliseconds: Int64 { nanoseconds / 1_000_000 }
}
