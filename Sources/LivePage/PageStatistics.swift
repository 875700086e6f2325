import PlayCounts
import TallyBasics

/// The statistics that the page shows above the table. A pure value: no I/O and no clock.
struct PageStatistics {
    /// The plays and calls of one second of the wall clock.
    struct Second {
        /// The second, counted from 1970.
        let second: Int64
        var plays = 0
        var calls = CallCounts()
    }

    /// The number of plays counted since the processor started.
    private(set) var counted = 0
    private(set) var calls = CallCounts()
    private(set) var history = CallHistory()
    /// The longest time from the receipt of an immediate play to the call that published it.
    private(set) var worstImmediate = Duration.zero
    /// The longest time from the receipt of a batched play to the call that published it.
    private(set) var worstBatched = Duration.zero
    /// The seconds of the last two minutes in which plays or calls occurred.
    private(set) var seconds: [Second] = []
    var queue: ChannelDepth?
    /// The time since the publish of the oldest received message that is not committed; `nil` if it
    /// is not measured.
    var backlogAge: Duration?
    /// Why no plays are counted at present; `nil` while counting works.
    var problem: String?

    /// The number of videos with a committed total that is not published yet.
    private(set) var waitingVideos = 0
    private var plannedCalls = 0
    private let videosPerCall: Int
    private let coalesce: Duration
    /// The maximum time from a batched play to the call that publishes it, as configured.
    private let freshness: Duration
    /// The time from the receipt of a batched play to its deadline for publication.
    private let batchedDelay: Duration
    private let start: MonotonicInstant

    static let maxSeconds = 120

    /// - Parameter start: the start of the run. No play of this run was received earlier.
    init(of settings: PageSettings, startedAt start: MonotonicInstant) {
        videosPerCall = settings.videosPerCall
        coalesce = settings.coalesce
        freshness = settings.freshness
        batchedDelay = max(.zero, settings.freshness - settings.margin)
        self.start = start
    }

    /// The number of unused slots for videos in all calls.
    var emptySlots: Int { max(0, calls.calls * videosPerCall - calls.videos) }
    /// The longest time by which the publish of a batched play exceeded `freshness`.
    var worstLateness: Duration { max(.zero, worstBatched - freshness) }

    /// The lowest known number of calls that would have been enough, if no more plays arrive.
    var leastCalls: Int { MinimumCalls.fewest(planned: plannedCalls, made: callsWithWaiting) }

    /// The number of calls, including those for the waiting videos, divided by ``leastCalls``.
    var callsRatio: Double {
        leastCalls > 0 ? Double(callsWithWaiting) / Double(leastCalls) : 1
    }

    private var callsWithWaiting: Int {
        calls.calls + (waitingVideos + videosPerCall - 1) / videosPerCall
    }

    // MARK: Changes

    /// Adds one call.
    ///
    /// - Parameter time: the time of the call, in milliseconds since 1970.
    mutating func record(_ call: Call, at instant: MonotonicInstant, milliseconds time: Int64) {
        for video in call.videos {
            let wait = instant - video.deadline
            if video.isImmediate {
                worstImmediate = max(worstImmediate, wait + coalesce)
            } else {
                // A count that an earlier run left unpublished has a deadline, but no receipt in
                // this run. So its wait is limited to the time since the start.
                worstBatched = max(worstBatched, min(wait + batchedDelay, instant - start))
            }
        }
        history.append(call, atMilliseconds: time)
        var counts = CallCounts()
        counts.add(call)
        add(counts, time / 1000)
    }

    /// Applies everything in `update` except its calls.
    mutating func apply(_ update: PageUpdate, second: Int64) {
        add(update.skipped.calls, second)
        if update.counted > counted {
            let plays = update.counted - counted
            counted = update.counted
            change(second) { $0.plays += plays }
        }
        (waitingVideos, plannedCalls) = (update.waitingVideos, update.plannedCalls)
    }

    private mutating func add(_ counts: CallCounts, _ second: Int64) {
        guard counts.calls > 0 else { return }
        calls += counts
        change(second) { $0.calls += counts }
    }

    /// Changes the entry of `second`, or the last entry if the wall clock was set back.
    private mutating func change(_ second: Int64, _ body: (inout Second) -> Void) {
        if seconds.last.map({ $0.second < second }) ?? true {
            seconds.append(Second(second: second))
            seconds.removeAll { $0.second <= second - Int64(Self.maxSeconds) }
        }
        body(&seconds[seconds.count - 1])
    }
}
