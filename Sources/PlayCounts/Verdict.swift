/// Whether a run kept the rules of the job, judged from outside: by what the producer sent, what
/// the consumer received and what the client was told. Not one word of the processor's own
/// counts, except how few calls its batches needed at least.
package struct Verdict: Encodable, Sendable {
    package struct Rule: Encodable, Hashable, Sendable {
        package let rule: String
        package let holds: Bool
        package let detail: String
    }

    /// What the rules demand.
    package struct Bounds: Sendable {
        package var videosPerCall = 20
        package var realtimeBelow = 100
        package var immediate = Duration.milliseconds(5)
        /// What immediate plays may wait for one another beside that.
        package var coalesce = Duration.zero
        package var freshness = Duration.seconds(60)
        package var callsRatio = 1.05
        package var coldVideos = 15

        package init() {}
    }

    /// What the logs cannot tell.
    package struct Run: Sendable {
        package var plannerCalls: Int
        package var rejected: [Rejection: Int]
        /// From the first PUB to the last FIN.
        package var duration: Duration
        /// `embedded`, or the address of the broker.
        package var broker: String
        /// The counts that the store held before, if it was not new, and what the client knew.
        package var countsBefore: [PlayStore.StoredCount]

        package init(
            plannerCalls: Int, rejected: [Rejection: Int] = [:], duration: Duration,
            broker: String = "embedded",
            countsBefore: [PlayStore.StoredCount] = []
        ) {
            self.plannerCalls = plannerCalls
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
    /// How many for each reason.
    package let rejections: [String: Int]
    package let videos: Int
    package let seconds: Double
    package let playsPerSecond: Double
    package let calls: Int
    /// How few are known to do.
    package let plannerCalls: Int
    package let callsRatio: Double
    /// Places for videos in calls that had too few to fill them.
    package let emptySlots: Int
    package let immediatePlays: Int
    package let batchedPlays: Int
    package let p99ImmediateMilliseconds: Double
    package let worstImmediateMilliseconds: Double
    package let worstBatchedMilliseconds: Double
    /// By how much any play came after it was due; 0 if none did.
    package let worstLatenessMilliseconds: Double
    package let broker: String

    package var passes: Bool { rules.allSatisfy(\.holds) }

    package init(
        produced: PlayLog, received: PlayLog, calls log: CallLog, of run: Run,
        bounds: Bounds = Bounds()
    ) {
        var evidence = Evidence(
            produced: produced.byVideo(), received: received.byVideo(), before: run.countsBefore,
            bounds: bounds)
        for call in log.entries { evidence.hear(call) }
        evidence.close()

        playsProduced = produced.count
        playsCounted = evidence.playsCounted
        playsRejected = run.rejected.values.reduce(0, +)
        rejections = Dictionary(
            uniqueKeysWithValues: run.rejected.map { ($0.key.rawValue, $0.value) })
        videos = produced.videos
        seconds = Double(run.duration.nanoseconds) / 1e9
        playsPerSecond = seconds > 0 ? (Double(playsCounted) / seconds).rounded() : 0
        calls = log.calls
        plannerCalls = CallPlanner.fewest(planned: run.plannerCalls, made: log.calls)
        callsRatio = plannerCalls > 0 ? Double(log.calls) / Double(plannerCalls) : 1
        emptySlots = max(0, log.calls * bounds.videosPerCall - log.videos)
        immediatePlays = evidence.immediate.plays
        batchedPlays = evidence.batched.plays
        p99ImmediateMilliseconds = evidence.immediate.percentile(99)
        worstImmediateMilliseconds = evidence.immediate.worst
        worstBatchedMilliseconds = evidence.batched.worst
        worstLatenessMilliseconds = max(
            0, evidence.immediate.worst - bounds.coalesce.milliseconds,
            evidence.batched.worst - bounds.freshness.milliseconds)
        broker = run.broker
        rules = evidence.rules(calls: log.calls, fewest: plannerCalls, ratio: callsRatio)
    }

    enum CodingKeys: String, CodingKey {
        case verdict
        case rules
        case playsProduced = "plays_produced"
        case playsCounted = "plays_counted"
        case playsRejected = "plays_rejected"
        case rejections
        case videos
        case seconds
        case playsPerSecond = "plays_per_second"
        case calls
        case plannerCalls = "planner_calls"
        case callsRatio = "calls_ratio"
        case emptySlots = "empty_slots"
        case immediatePlays = "immediate_plays"
        case batchedPlays = "batched_plays"
        case p99ImmediateMilliseconds = "p99_immediate_ms"
        case worstImmediateMilliseconds = "worst_immediate_ms"
        case worstBatchedMilliseconds = "worst_batched_ms"
        case worstLatenessMilliseconds = "worst_lateness_ms"
        case broker
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(passes ? "pass" : "fail", forKey: .verdict)
        try fields.encode(rules, forKey: .rules)
        try fields.encode(playsProduced, forKey: .playsProduced)
        try fields.encode(playsCounted, forKey: .playsCounted)
        try fields.encode(playsRejected, forKey: .playsRejected)
        try fields.encode(rejections, forKey: .rejections)
        try fields.encode(videos, forKey: .videos)
        try fields.encode(seconds, forKey: .seconds)
        try fields.encode(playsPerSecond, forKey: .playsPerSecond)
        try fields.encode(calls, forKey: .calls)
        try fields.encode(plannerCalls, forKey: .plannerCalls)
        try fields.encode(callsRatio, forKey: .callsRatio)
        try fields.encode(emptySlots, forKey: .emptySlots)
        try fields.encode(immediatePlays, forKey: .immediatePlays)
        try fields.encode(batchedPlays, forKey: .batchedPlays)
        try fields.encode(p99ImmediateMilliseconds, forKey: .p99ImmediateMilliseconds)
        try fields.encode(worstImmediateMilliseconds, forKey: .worstImmediateMilliseconds)
        try fields.encode(worstBatchedMilliseconds, forKey: .worstBatchedMilliseconds)
        try fields.encode(worstLatenessMilliseconds, forKey: .worstLatenessMilliseconds)
        try fields.encode(broker, forKey: .broker)
    }
}
