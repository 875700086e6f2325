import TallyBasics

/// The result of checking a run of the demo against the rules for counting and publishing.
///
/// The check uses the logs of the producer, the consumer and the client instead of the processor's
/// own counts. Only the minimum number of calls is computed from the processor's batches.
package struct Verdict: Encodable, Sendable {
    /// A rule, and whether the run satisfies it.
    package struct Rule: Encodable, Hashable, Sendable {
        /// The text of the rule.
        package let rule: String
        /// `true` if the run satisfies the rule.
        package let holds: Bool
        /// The measured values, or the first violation.
        package let detail: String
    }

    /// The limits against which the rules check a run.
    package struct Bounds: Sendable {
        /// The maximum number of videos in one call.
        package var videosPerCall = 20
        /// A play that leaves its video below this total must be published immediately.
        package var realtimeBelow = 100
        /// The time that an immediate play may wait for others to share its call.
        package var coalesce = Duration.zero
        /// The maximum latency of every play.
        package var freshness = Duration.seconds(60)
        /// The maximum number of calls, as a multiple of the minimum.
        package var callsRatio = 1.05
        /// The minimum number of videos with fewer plays than `realtimeBelow`.
        package var coldVideos = 15

        package init() {}
    }

    /// Facts about a run that its logs do not contain.
    package struct Run: Sendable {
        /// The number of calls that ``MinimumCalls`` computes for the same batches.
        package var minimumCalls: Int
        package var rejected: [Rejection: Int]
        /// The time from the first PUB to the last FIN.
        package var duration: Duration
        /// The address of the broker, or `embedded`.
        package var broker: String
        /// The counts in the store before the run.
        package var countsBefore: [PlayStore.StoredCount]
        /// The total time that the processor's thread was ready to run but waited for a CPU; `nil`
        /// if the system does not report it.
        package var schedulingDelay: Duration?
        /// The reason why the run ended before all plays were counted; `nil` if all were counted.
        package var standstill: String?

        package init(
            minimumCalls: Int, rejected: [Rejection: Int] = [:], duration: Duration,
            broker: String = "embedded",
            countsBefore: [PlayStore.StoredCount] = [], schedulingDelay: Duration? = nil,
            standstill: String? = nil
        ) {
            self.schedulingDelay = schedulingDelay
            self.standstill = standstill
            self.minimumCalls = minimumCalls
            self.rejected = rejected
            self.duration = duration
            self.broker = broker
            self.countsBefore = countsBefore
        }
    }

    package let rules: [Rule]
    package let playsProduced: Int
    package let playsCounted: Int
    package let playsRejected: Int
    /// The numbers of rejected messages by reason.
    package let rejections: [String: Int]
    package let videos: Int
    /// The time from the first PUB to the last FIN, in seconds.
    package let seconds: Double
    package let playsPerSecond: Double
    package let calls: Int
    /// The minimum number of calls.
    package let minimumCalls: Int
    /// The number of calls divided by the minimum number.
    package let callsRatio: Double
    /// The number of free slots in all calls.
    package let emptySlots: Int
    /// The number of plays that had to be published immediately.
    package let immediatePlays: Int
    /// The number of all other plays.
    package let batchedPlays: Int
    /// The median latency of the immediate plays, in milliseconds.
    package let p50ImmediateMilliseconds: Double
    /// The 99th percentile of the latencies of the immediate plays, in milliseconds.
    package let p99ImmediateMilliseconds: Double
    /// The maximum latency of the immediate plays, in milliseconds.
    package let worstImmediateMilliseconds: Double
    /// The maximum latency of all other plays, in milliseconds.
    package let worstBatchedMilliseconds: Double
    /// The maximum time by which a play was published after its deadline, in milliseconds; 0 if no
    /// play was late.
    package let worstLatenessMilliseconds: Double
    /// ``Run/schedulingDelay`` in milliseconds.
    package let schedulingDelayMilliseconds: Double?
    /// The address of the broker, or `embedded`.
    package let broker: String

    /// `pass` or `fail`, for JSON.
    private let verdict: String

    /// `true` if the run satisfies all rules.
    package var passes: Bool { rules.allSatisfy(\.holds) }

    /// - Parameters:
    ///   - produced: the plays that the producer sent.
    ///   - received: the plays that the processor received.
    ///   - batches: the commits of the received plays.
    ///   - log: the calls that the client received.
    package init(
        produced: PlayLog, received: PlayLog, batches: BatchLog, calls log: CallLog, of run: Run,
        bounds: Bounds = Bounds()
    ) {
        var checker = VerdictChecker(
            produced: produced.byVideo(), received: received.byVideo(), before: run.countsBefore,
            bounds: bounds)
        for call in log.entries { checker.check(call) }
        checker.checkFinalTotals()
        var immediacy = ImmediacyChecker(
            received: received, batches: batches, calls: log, bounds: bounds,
            before: checker.totalBefore)

        playsProduced = produced.count
        playsCounted = checker.playsCounted
        playsRejected = run.rejected.values.reduce(0, +)
        rejections = Dictionary(
            uniqueKeysWithValues: run.rejected.map { ($0.key.rawValue, $0.value) })
        videos = produced.videos
        seconds = Double(run.duration.nanoseconds) / 1e9
        playsPerSecond = seconds > 0 ? (Double(playsCounted) / seconds).rounded() : 0
        calls = log.calls
        minimumCalls = MinimumCalls.fewest(planned: run.minimumCalls, made: log.calls)
        callsRatio = minimumCalls > 0 ? Double(log.calls) / Double(minimumCalls) : 1
        emptySlots = max(0, log.calls * bounds.videosPerCall - log.videos)
        immediatePlays = checker.immediate.plays
        batchedPlays = checker.batched.plays
        p50ImmediateMilliseconds = checker.immediate.percentile(50)
        p99ImmediateMilliseconds = checker.immediate.percentile(99)
        worstImmediateMilliseconds = checker.immediate.longestMilliseconds
        worstBatchedMilliseconds = checker.batched.longestMilliseconds
        worstLatenessMilliseconds = max(
            0, checker.immediate.longestMilliseconds - bounds.coalesce.verdictMilliseconds,
            checker.batched.longestMilliseconds - bounds.freshness.verdictMilliseconds)
        schedulingDelayMilliseconds = run.schedulingDelay?.verdictMilliseconds
        broker = run.broker
        rules =
            checker.rules(
                calls: log.calls, fewest: minimumCalls, ratio: callsRatio,
                immediacy: immediacy.rule())
            + [
                Rule(
                    rule: "the run makes progress until all plays are counted",
                    holds: run.standstill == nil, detail: run.standstill ?? "no violations")
            ]
        verdict = rules.allSatisfy(\.holds) ? "pass" : "fail"
    }

    enum CodingKeys: String, CodingKey {
        case verdict, rules, rejections, videos, seconds, calls, broker
        case playsProduced = "plays_produced"
        case playsCounted = "plays_counted"
        case playsRejected = "plays_rejected"
        case playsPerSecond = "plays_per_second"
        case minimumCalls = "planner_calls"
        case callsRatio = "calls_ratio"
        case emptySlots = "empty_slots"
        case immediatePlays = "immediate_plays"
        case batchedPlays = "batched_plays"
        case p50ImmediateMilliseconds = "p50_immediate_ms"
        case p99ImmediateMilliseconds = "p99_immediate_ms"
        case worstImmediateMilliseconds = "worst_immediate_ms"
        case worstBatchedMilliseconds = "worst_batched_ms"
        case worstLatenessMilliseconds = "worst_lateness_ms"
        case schedulingDelayMilliseconds = "scheduling_delay_ms"
    }
}
