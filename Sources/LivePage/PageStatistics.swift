import PlayCounts
import TallyBasics

/// The statistics that the page shows above the table. This type does no I/O and reads no clock.
struct PageStatistics {
    /// The plays and calls of one second of the wall clock.
    struct Second {
        /// The second, counted from 1970.
        let second: Int64
        var plays = 0
        var immediateCalls = 0
        var batchedCalls = 0
    }

    /// The number of plays counted since the processor started.
    private(set) var counted = 0
    private(set) var immediateCalls = 0
    private(set) var batchedCalls = 0
    private var videosInCalls = 0
    /// The longest time from the arrival of an immediate play to the call that published it.
    private(set) var worstImmediate = Duration.zero
    /// The longest time from the deadline of a batched play to the call that published it.
    private(set) var worstLateness = Duration.zero
    /// The seconds of the last two minutes in which plays or calls occurred.
    private(set) var seconds: [Second] = []
    var queue: QueueState?

    /// The number of videos with a committed total that is not published yet.
    private(set) var waitingVideos = 0
    private var plannedCalls = 0
    private let videosPerCall: Int
    private let coalesce: Duration

    static let maxSeconds = 120

    init(of settings: PageSettings) {
        videosPerCall = settings.videosPerCall
        coalesce = settings.coalesce
    }

    var calls: Int { immediateCalls + batchedCalls }
    /// The number of unused slots for videos in all calls.
    var emptySlots: Int { max(0, calls * videosPerCall - videosInCalls) }

    /// The lowest known number of calls that suffices if no more plays arrive.
    var leastCalls: Int { MinimumCalls.fewest(planned: plannedCalls, made: callsWithWaiting) }

    /// The number of calls, including those for the waiting videos, divided by ``leastCalls``.
    var callsRatio: Double {
        leastCalls > 0 ? Double(callsWithWaiting) / Double(leastCalls) : 1
    }

    private var callsWithWaiting: Int {
        calls + (waitingVideos + videosPerCall - 1) / videosPerCall
    }

    // MARK: Changes

    /// Adds one call.
    ///
    /// - Parameter second: the current time in seconds since 1970.
    mutating func record(_ call: Call, at instant: MonotonicInstant, second: Int64) {
        for video in call.videos {
            let wait = instant - video.deadline
            if video.isImmediate {
                worstImmediate = max(worstImmediate, wait + coalesce)
            } else {
                worstLateness = max(worstLateness, wait)
            }
        }
        let immediate = call.isImmediate ? 1 : 0
        addCalls(immediate: immediate, batched: 1 - immediate, videos: call.videos.count, second)
    }

    /// Applies everything in `update` except its calls.
    mutating func apply(_ update: PageUpdate, second: Int64) {
        let skipped = update.skipped
        addCalls(
            immediate: skipped.immediateCalls, batched: skipped.calls - skipped.immediateCalls,
            videos: skipped.videos, second)
        if update.counted > counted {
            let plays = update.counted - counted
            counted = update.counted
            change(second) { $0.plays += plays }
        }
        (waitingVideos, plannedCalls) = (update.waitingVideos, update.plannedCalls)
    }

    private mutating func addCalls(immediate: Int, batched: Int, videos: Int, _ second: Int64) {
        guard immediate + batched > 0 else { return }
        immediateCalls += immediate
        batchedCalls += batched
        videosInCalls += videos
        change(second) {
            $0.immediateCalls += immediate
            $0.batchedCalls += batched
        }
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
