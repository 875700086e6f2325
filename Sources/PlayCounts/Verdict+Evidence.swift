import Histogram

extension Verdict {
    /// Hears the calls in order, and writes down what breaks a rule.
    struct Evidence {
        private(set) var immediate = Latencies()
        private(set) var batched = Latencies()
        private(set) var playsCounted = 0

        private let produced: PlaysByVideo
        private let received: PlaysByVideo
        private let bounds: Bounds
        private let before: Totals
        /// What the client knows by now.
        private var told: Totals

        private var tooLarge = Breaches()
        private var repeated = Breaches()
        private var backward = Breaches()
        private var ahead = Breaches()
        private var wrongAtTheEnd = Breaches()
        private var coldVideos = 0

        init(
            produced: PlaysByVideo, received: PlaysByVideo, before: [PlayStore.StoredCount],
            bounds: Bounds
        ) {
            self.produced = produced
            self.received = received
            self.bounds = bounds
            self.before = Totals(before.map { ($0.videoID, $0.count) })
            told = Totals(before.map { ($0.videoID, $0.published) })
        }

        mutating func hear(_ call: CallLog.Entry) {
            if !(1...bounds.videosPerCall ~= call.counts.count) {
                tooLarge.note("a call with \(call.counts.count) videos")
            }
            for count in call.counts { hear(count, at: call.instant) }
        }

        private mutating func hear(_ total: PlayCount, at instant: Instant) {
            let last = told[total.videoID]
            guard total.count != last else {
                return repeated.note("\(total.videoID) again with \(last)")
            }
            guard total.count > last else {
                return backward.note("\(total.videoID) from \(last) to \(total.count)")
            }
            let first = before[total.videoID]
            let arrivals = received[total.videoID]
            let sent = produced[total.videoID]
            if total.count > first + arrivals.count
                || total.count > first
                    && arrivals[arrivals.startIndex + total.count - first - 1] > instant
            {
                ahead.note("\(total.videoID) is \(total.count) before that many plays came in")
            }
            // What an earlier run has left over is told without a delay to judge.
            for play in max(last, first) + 1..<total.count + 1 {
                // An immediate play's time runs from its receipt, any other's from its sending,
                // which is a little before it is on the queue.
                let isImmediate = play < bounds.realtimeBelow
                let times = isImmediate ? arrivals : sent
                guard play - first <= times.count else { break }
                let latency = instant - times[times.startIndex + play - first - 1]
                if isImmediate { immediate.record(latency) } else { batched.record(latency) }
            }
            told[total.videoID] = total.count
        }

        /// Holds the client's last totals against what was sent.
        mutating func close() {
            for videoID in produced.videoIDs {
                let plays = produced[videoID].count
                let first = before[videoID]
                let last = told[videoID]
                playsCounted += last - first
                if last - first != plays {
                    wrongAtTheEnd.note("\(videoID) ends with \(last - first) of \(plays) plays")
                }
                if plays < bounds.realtimeBelow { coldVideos += 1 }
            }
            for (videoID, last) in told.all
            where produced[videoID].isEmpty && last != before[videoID] {
                playsCounted += max(0, last - before[videoID])
                wrongAtTheEnd.note("\(videoID) was not played, and its total is \(last)")
            }
        }

        func rules(calls: Int, fewest: Int, ratio: Double) -> [Rule] {
            [
                wrongAtTheEnd.rule("the last totals are the plays sent"),
                ahead.rule("no total is ahead of the plays received"),
                backward.rule("no total goes back"),
                repeated.rule("no call carries an unchanged count"),
                tooLarge.rule("a call carries at most \(bounds.videosPerCall) videos"),
                Rule(
                    rule: "99 of 100 plays below \(bounds.realtimeBelow) are published within "
                        + "\((bounds.immediate + bounds.coalesce).milliseconds) ms",
                    holds: immediate.percentile(99)
                        <= (bounds.immediate + bounds.coalesce).milliseconds,
                    detail: immediate.summary),
                Rule(
                    rule: "every other play is published within \(bounds.freshness)",
                    holds: batched.worst <= bounds.freshness.milliseconds,
                    detail: batched.summary),
                Rule(
                    rule: "at most \(bounds.callsRatio) times the fewest calls",
                    holds: ratio <= bounds.callsRatio,
                    detail: "\(calls) calls, \(fewest) would do"),
                Rule(
                    rule: "at least \(bounds.coldVideos) videos have fewer than "
                        + "\(bounds.realtimeBelow) plays",
                    holds: coldVideos >= bounds.coldVideos,
                    detail: "\(coldVideos) videos have"),
            ]
        }
    }
}

/// A number for each video, 0 unless there is another.
private struct Totals {
    private var videoIDs = GUIDTable()
    // INVARIANT: one for each of `videoIDs`.
    private var totals: [Int] = []

    init(_ totals: some Sequence<(VideoID, Int)>) {
        for (videoID, total) in totals { self[videoID] = total }
    }

    var all: some Sequence<(VideoID, Int)> { zip(videoIDs.guids, totals) }

    subscript(videoID: VideoID) -> Int {
        get { videoIDs.number(of: videoID).map { totals[$0] } ?? 0 }
        set {
            let (number, isNew) = videoIDs.insert(videoID)
            if isNew { totals.append(newValue) } else { totals[number] = newValue }
        }
    }
}

/// How often a rule was broken, and how first.
private struct Breaches {
    private var count = 0
    private var first: String?

    mutating func note(_ breach: @autoclosure () -> String) {
        count += 1
        if first == nil { first = breach() }
    }

    func rule(_ rule: String) -> Verdict.Rule {
        let detail = first.map { count == 1 ? $0 : "\($0), and \(count - 1) more" }
        return Verdict.Rule(rule: rule, holds: count == 0, detail: detail ?? "without exception")
    }
}

/// Delays, in a histogram of three digits up to an hour; the worst one exactly.
struct Latencies {
    private var histogram = Histogram<UInt64>(highestTrackableValue: 3_600_000_000_000)
    private var longest = Duration.zero

    var plays: Int { Int(histogram.totalCount) }
    var worst: Double { longest.milliseconds }

    mutating func record(_ latency: Duration) {
        let nanoseconds = UInt64(max(0, latency.nanoseconds))
        histogram.record(min(nanoseconds, histogram.highestTrackableValue))
        longest = max(longest, latency)
    }

    /// In milliseconds.
    func percentile(_ percentile: Double) -> Double {
        guard plays > 0 else { return 0 }
        return Duration.nanoseconds(Int64(histogram.valueAtPercentile(percentile))).milliseconds
    }

    var summary: String {
        "\(plays) plays: half in \(percentile(50)) ms, 99 % in \(percentile(99)) ms, "
            + "the last in \(worst) ms"
    }
}

extension Duration {
    /// To the microsecond.
    var milliseconds: Double {
        (Double(nanoseconds) / 1000).rounded() / 1000
    }
}
