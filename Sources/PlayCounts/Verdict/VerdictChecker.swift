import TallyBasics

/// Checks the calls of a run against the plays that were sent and received, and records violations
/// of the rules.
struct VerdictChecker {
    private(set) var immediate = Latencies()
    private(set) var batched = Latencies()
    private(set) var playsCounted = 0

    private let produced: PlaysByVideo
    private let received: PlaysByVideo
    private let bounds: Verdict.Bounds
    private let before: Totals
    /// The latest total of each video that the client received.
    private var published: Totals

    private var wrongSize = Violations()
    private var unchanged = Violations()
    private var decreasing = Violations()
    private var tooHigh = Violations()
    private var wrongFinalTotal = Violations()
    private var coldVideos = 0

    init(
        produced: PlaysByVideo, received: PlaysByVideo, before: [PlayStore.StoredCount],
        bounds: Verdict.Bounds
    ) {
        self.produced = produced
        self.received = received
        self.bounds = bounds
        self.before = Totals(before.map { ($0.videoID, $0.count) })
        published = Totals(before.map { ($0.videoID, $0.published) })
    }

    /// Checks the next call.
    mutating func check(_ call: CallLog.Entry) {
        if !(1...bounds.videosPerCall ~= call.counts.count) {
            wrongSize.record("one call carries \(counted(call.counts.count, "video"))")
        }
        for count in call.counts { check(count, at: call.instant) }
    }

    private mutating func check(_ total: PlayCount, at instant: MonotonicInstant) {
        let last = published[total.videoID]
        guard total.count != last else {
            return unchanged.record("\(total.videoID): \(last) was published twice")
        }
        guard total.count > last else {
            return decreasing.record("\(total.videoID): from \(last) to \(total.count)")
        }
        let first = before[total.videoID]
        let arrivals = received[total.videoID]
        if total.count > first + arrivals.count
            || total.count > first
                && arrivals[arrivals.startIndex + total.count - first - 1] > instant
        {
            tooHigh.record("\(total.videoID): \(total.count) was published too early")
        }
        measure(total, after: max(last, first), instant)
        published[total.videoID] = total.count
    }

    /// Records the latency of each play by which a total exceeds the previously published total.
    /// Plays of an earlier run are skipped.
    private mutating func measure(
        _ total: PlayCount, after last: Int, _ instant: MonotonicInstant
    ) {
        guard last < total.count else { return }
        let first = before[total.videoID]
        for play in last + 1..<total.count + 1 {
            // The latency of an immediate play is measured from its receipt by the processor. The
            // latency of any other play is measured from the time when the producer sent it, which
            // is a little earlier.
            let isImmediate = play < bounds.realtimeBelow
            let times = isImmediate ? received[total.videoID] : produced[total.videoID]
            guard play - first <= times.count else { break }
            let latency = instant - times[times.startIndex + play - first - 1]
            if isImmediate { immediate.record(latency) } else { batched.record(latency) }
        }
    }

    /// Compares the client's final totals with the plays that were sent. Call this method after the
    /// last call was checked.
    mutating func checkFinalTotals() {
        for videoID in produced.videoIDs {
            let plays = produced[videoID].count
            let added = published[videoID] - before[videoID]
            playsCounted += added
            if added != plays {
                wrongFinalTotal.record(
                    "\(videoID): counted \(counted(added, "play")), sent \(plays)")
            }
            if plays < bounds.realtimeBelow { coldVideos += 1 }
        }
        for (videoID, last) in published.all
        where produced[videoID].isEmpty && last != before[videoID] {
            playsCounted += max(0, last - before[videoID])
            wrongFinalTotal.record("\(videoID): published \(last), but no plays were sent")
        }
    }

    /// The video's total before the run.
    func totalBefore(_ videoID: VideoID) -> Int { before[videoID] }

    /// The results of all rules.
    ///
    /// - Parameters:
    ///   - calls: the number of calls.
    ///   - fewest: the minimum number of calls.
    ///   - ratio: `calls` divided by `fewest`.
    ///   - immediacy: the result of ``ImmediacyChecker``.
    func rules(
        calls: Int, fewest: Int, ratio: Double, immediacy: Verdict.Rule
    ) -> [Verdict.Rule] {
        [
            wrongFinalTotal.rule("every final total equals the number of plays sent"),
            tooHigh.rule("no total is higher than the number of plays received by then"),
            decreasing.rule("no total decreases"),
            unchanged.rule("no call carries an unchanged total"),
            wrongSize.rule("each call carries at most \(counted(bounds.videosPerCall, "video"))"),
            immediacy,
            Verdict.Rule(
                rule: "every play is published within \(bounds.freshness)",
                holds: max(immediate.longestMilliseconds, batched.longestMilliseconds)
                    <= bounds.freshness.verdictMilliseconds,
                detail: "other plays: \(batched.summary)"),
            Verdict.Rule(
                rule: "there are at most \(bounds.callsRatio) times as many calls as necessary",
                holds: ratio <= bounds.callsRatio,
                detail: "\(counted(calls, "call")), \(fewest) necessary"),
            Verdict.Rule(
                rule: "at least \(counted(bounds.coldVideos, "video")) have fewer than "
                    + counted(bounds.realtimeBelow, "play"),
                holds: coldVideos >= bounds.coldVideos, detail: counted(coldVideos, "video")),
        ]
    }
}

/// The totals of videos, 0 by default.
private struct Totals {
    private var videoIDs = GUIDTable()
    // INVARIANT: has one element for each of `videoIDs`, at the index of the GUID.
    private var totals: [Int] = []

    init(_ totals: some Sequence<(VideoID, Int)>) {
        for (videoID, total) in totals { self[videoID] = total }
    }

    var all: some Sequence<(VideoID, Int)> { zip(videoIDs.guids, totals) }

    subscript(videoID: VideoID) -> Int {
        get { videoIDs.index(of: videoID).map { totals[$0] } ?? 0 }
        set {
            let (index, isNew) = videoIDs.insert(videoID)
            if isNew { totals.append(newValue) } else { totals[index] = newValue }
        }
    }
}
