import Foundation
import PlayCounts
import Testing

@Suite struct `The verdict` {
    @Test func `passes a run that kept the rules, and has the keys of the job`() throws {
        let run = Run(try PlayGenerator())
        let verdict = run.verdict()
        #expect(verdict.passes, "\(verdict.rules.filter { !$0.holds })")

        let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(verdict))
        let fields = try #require(json as? [String: Any])
        #expect(
            fields.keys.sorted() == [
                "batched_plays", "broker", "calls", "calls_ratio", "empty_slots", "immediate_plays",
                "p99_immediate_ms", "planner_calls", "plays_counted", "plays_per_second",
                "plays_produced", "plays_rejected", "rejections", "rules", "seconds", "verdict",
                "videos", "worst_batched_ms", "worst_immediate_ms", "worst_lateness_ms",
            ])
        #expect(fields["verdict"] as? String == "pass")
        #expect(fields["plays_produced"] as? Int == 100_000)
        #expect(fields["plays_counted"] as? Int == 100_000)
        #expect(fields["videos"] as? Int == 100)
        #expect(fields["plays_per_second"] as? Int == 200_000)
        let rule = try #require((fields["rules"] as? [[String: Any]])?.first)
        #expect(rule.keys.sorted() == ["detail", "holds", "rule"])
    }

    @Test func `tells immediate plays from the others, and how long they took`() {
        var run = Run()
        run.play(1, at: .zero, times: 98)
        run.call([(1, 98)], at: .milliseconds(2))
        run.play(1, at: .seconds(1), times: 2)
        run.call([(1, 100)], at: .seconds(1) + .milliseconds(4))
        let verdict = run.verdict()
        #expect(verdict.immediatePlays == 99)
        #expect(verdict.batchedPlays == 1)
        #expect(verdict.worstImmediateMilliseconds == 4)
        #expect(verdict.worstBatchedMilliseconds == 4)
        #expect(abs(verdict.p99ImmediateMilliseconds - 4) < 0.01)
    }

    @Test func `finds a play that was lost`() {
        var run = Run()
        run.play(1, at: .zero, times: 3)
        run.call([(1, 2)], at: .zero)
        #expect(run.broken() == ["the last totals are the plays sent"])
    }

    @Test func `finds a video that nobody played`() {
        var run = Run()
        run.call([(1, 1)], at: .zero)
        #expect(
            run.broken() == [
                "the last totals are the plays sent", "no total is ahead of the plays received",
            ])
    }

    @Test func `finds a total before its play`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 2)], at: .zero)
        run.play(1, at: .seconds(1))
        #expect(run.broken() == ["no total is ahead of the plays received"])
    }

    @Test func `finds a total that goes back, or is told twice`() {
        var run = Run()
        run.play(1, at: .zero, times: 3)
        run.call([(1, 3)], at: .zero)
        run.call([(1, 2)], at: .zero)
        run.call([(1, 3)], at: .zero)
        #expect(run.broken() == ["no total goes back", "no call carries an unchanged count"])
    }

    @Test func `finds a call with too many videos, or none`() {
        var run = Run()
        for index in 0..<21 { run.play(index, at: .zero) }
        run.call((0..<21).map { ($0, 1) }, at: .zero)
        #expect(run.broken() == ["a call carries at most 20 videos"])
        run = Run()
        run.call([], at: .zero)
        #expect(run.broken() == ["a call carries at most 20 videos"])
    }

    @Test func `finds an immediate play that is late, and forgives one in a hundred`() {
        let rule = "99 of 100 plays below 100 are published within 5.0 ms"
        var run = Run()
        for index in 0..<100 {
            run.play(index, at: .zero)
            run.call([(index, 1)], at: index == 0 ? .milliseconds(50) : .milliseconds(1))
        }
        #expect(run.broken() == [])
        run.play(0, at: .seconds(1))
        run.call([(0, 2)], at: .seconds(1) + .milliseconds(6))
        #expect(run.broken() == [rule])
    }

    @Test func `finds any other play that is late`() {
        var run = Run()
        run.play(1, at: .zero, times: 100)
        run.call([(1, 99)], at: .zero)
        run.call([(1, 100)], at: .seconds(60))
        #expect(run.broken() == [])
        run.play(1, at: .seconds(70))
        run.call([(1, 101)], at: .seconds(130) + .milliseconds(1))
        #expect(run.broken() == ["every other play is published within 60.0 seconds"])
    }

    @Test func `finds too many calls, and too few cold videos`() {
        var run = Run()
        for index in 0..<14 { run.play(index, at: .zero) }
        run.call((0..<14).map { ($0, 1) }, at: .zero)
        var verdict = run.verdict(plannerCalls: 1, coldVideos: 14)
        #expect(verdict.passes)
        verdict = run.verdict(plannerCalls: 1, coldVideos: 15)
        #expect(verdict.rules.filter { !$0.holds }.map(\.detail) == ["14 videos have"])
        run.play(0, at: .zero)
        run.call([(0, 2)], at: .zero)
        verdict = run.verdict(plannerCalls: 1, coldVideos: 1)
        #expect(verdict.callsRatio == 2)
        #expect(
            verdict.rules.filter { !$0.holds }.map(\.detail) == ["2 calls, 1 would do"])
    }

    @Test func `takes a run with fewer calls than planned for the fewest there can be`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 1)], at: .zero)
        let verdict = run.verdict(plannerCalls: 2)
        #expect(verdict.callsRatio == 1)
        #expect(verdict.plannerCalls == 1)
    }

    @Test func `goes on from the counts that were there before`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 501)], at: .seconds(50))
        let verdict = run.verdict(before: [.init(of: video(1), 500, published: 500)])
        #expect(verdict.passes, "\(verdict.rules.filter { !$0.holds })")
        #expect(verdict.playsCounted == 1)
        #expect(verdict.batchedPlays == 1)
    }

    @Test func `judges what an earlier run has left over by its total alone`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 501), (2, 7)], at: .seconds(50))
        let before = [
            PlayStore.StoredCount(of: video(1), 500, published: 9),
            PlayStore.StoredCount(of: video(2), 7, published: 0),
        ]
        let verdict = run.verdict(before: before)
        #expect(verdict.passes, "\(verdict.rules.filter { !$0.holds })")
        #expect(verdict.playsCounted == 1)
        #expect(verdict.immediatePlays + verdict.batchedPlays == 1)
        run = Run()
        run.play(1, at: .zero)
        run.call([(1, 501)], at: .zero)
        #expect(
            run.verdict(before: before).rules.filter { !$0.holds }.map(\.rule) == [
                "the last totals are the plays sent"
            ])
    }

    @Test func `counts what calls left empty, and how late the latest play was`() {
        var run = Run()
        run.play(1, at: .zero, times: 100)
        run.call([(1, 99)], at: .milliseconds(3))
        run.call([(1, 100)], at: .seconds(61))
        #expect(run.verdict().emptySlots == 38)
        #expect(run.verdict().worstLatenessMilliseconds == 1_000)
    }

    @Test func `gives immediate plays the time to coalesce that they were given`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 1)], at: .milliseconds(24))
        #expect(run.broken() == ["99 of 100 plays below 100 are published within 5.0 ms"])
        #expect(run.verdict(coalesce: .milliseconds(20)).passes)
        #expect(run.verdict(coalesce: .milliseconds(20)).worstLatenessMilliseconds == 4)
    }
}

/// The logs of a run, made up or simulated.
private struct Run {
    var plays = PlayLog()
    var calls = CallLog()
    var plannerCalls: Int?

    init() {}

    /// 200,000 plays a second in batches of 500.
    init(_ generated: PlayGenerator) {
        var tally = Tally()
        var batches: [Arrivals] = []
        for (index, play) in generated.enumerated() {
            let now = Instant.start + .microseconds(index / 500 * 2500)
            plays.record(play.videoID, at: now)
            tally.count(play, arrival: now)
            if index % 500 == 499 {
                batches.append(
                    Arrivals(instant: now + .milliseconds(1), changes: tally.takeChanges()))
            }
        }
        calls = simulate(batches).log
        plannerCalls = plan(batches)
    }

    mutating func play(_ index: Int, at instant: Duration, times: Int = 1) {
        for _ in 0..<times { plays.record(video(index), at: .start + instant) }
    }

    mutating func call(_ counts: [(index: Int, count: Int)], at instant: Duration) {
        calls.record(
            counts.map { PlayCount(of: video($0.index), $0.count) }, at: .start + instant)
    }

    func verdict(
        plannerCalls: Int? = nil, coldVideos: Int = 0, coalesce: Duration = .zero,
        before: [PlayStore.StoredCount] = []
    ) -> Verdict {
        var bounds = Verdict.Bounds()
        bounds.coalesce = coalesce
        if self.plannerCalls == nil { bounds.coldVideos = coldVideos }
        let run = Verdict.Run(
            plannerCalls: plannerCalls ?? self.plannerCalls ?? calls.calls,
            duration: .milliseconds(500), countsBefore: before)
        return Verdict(produced: plays, received: plays, calls: calls, of: run, bounds: bounds)
    }

    func broken() -> [String] {
        verdict().rules.filter { !$0.holds }.map(\.rule)
    }
}
