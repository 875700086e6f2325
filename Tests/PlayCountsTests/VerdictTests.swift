import Foundation
import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The verdict` {
    @Test func `passes a run that keeps the rules, and has the JSON keys of the job`() throws {
        let run = Run(try PlayGenerator())
        let verdict = run.verdict()
        #expect(verdict.passes, "\(verdict.rules.filter { !$0.holds })")

        let fields = try jsonObject(in: JSONEncoder().encode(verdict))
        #expect(
            fields.keys.sorted() == [
                "batched_plays", "broker", "calls", "calls_ratio", "empty_slots", "immediate_plays",
                "p50_immediate_ms", "p99_immediate_ms", "planner_calls", "plays_counted",
                "plays_per_second",
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

    @Test func `measures immediate and other plays separately`() {
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

    @Test func `fails a run with a lost play`() {
        var run = Run()
        run.play(1, at: .zero, times: 3)
        run.call([(1, 2)], at: .zero)
        #expect(
            run.violatedRules() == [
                "every final total equals the number of plays sent", immediacy,
            ])
    }

    @Test func `fails a run with a total of a video without plays`() {
        var run = Run()
        run.call([(1, 1)], at: .zero)
        #expect(
            run.violatedRules() == [
                "every final total equals the number of plays sent",
                "no total is higher than the number of plays received by then",
            ])
    }

    @Test func `fails a run with a total that is published before its play`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 2)], at: .zero)
        run.play(1, at: .seconds(1))
        run.commit()
        #expect(
            run.violatedRules() == [
                "no total is higher than the number of plays received by then", immediacy,
            ])
    }

    @Test func `fails a run with a total that decreases or is published twice`() {
        var run = Run()
        run.play(1, at: .zero, times: 3)
        run.call([(1, 3)], at: .zero)
        run.call([(1, 2)], at: .zero)
        run.call([(1, 3)], at: .zero)
        #expect(
            run.violatedRules() == ["no total decreases", "no call carries an unchanged total"])
    }

    @Test func `fails a run with a call of too many videos, or of none`() {
        var run = Run()
        for index in 0..<21 { run.play(index, at: .zero) }
        run.call((0..<21).map { ($0, 1) }, at: .zero)
        #expect(run.violatedRules() == ["each call carries at most 20 videos"])
        run = Run()
        run.call([], at: .zero)
        #expect(run.violatedRules() == ["each call carries at most 20 videos"])
    }

    @Test func `does not depend on the latency of immediate plays`() {
        var run = Run()
        for index in 0..<100 {
            run.play(index, at: .zero)
            run.call([(index, 1)], at: .seconds(50))
        }
        #expect(run.violatedRules() == [])
        #expect(run.verdict().p50ImmediateMilliseconds >= 50_000)
    }

    @Test func `fails a run in which another commit comes before the call of an immediate play`() {
        var run = Run()
        run.play(1, at: .zero)
        run.commit()
        run.play(2, at: .zero)
        run.call([(1, 1), (2, 1)], at: .zero)
        #expect(run.violatedRules() == [immediacy])
    }

    @Test func `fails a run in which a timer comes before the call of an immediate play`() {
        var run = Run()
        run.play(1, at: .zero)
        run.commit()
        run.iteration += 1
        run.call([(1, 1)], at: .zero)
        #expect(run.violatedRules() == [immediacy])
    }

    @Test func `fails a run in which an immediate play waits for its commit`() {
        var run = Run()
        run.play(1, at: .zero)
        run.iteration += 1
        run.call([(1, 1)], at: .zero)
        #expect(run.violatedRules() == [immediacy])
    }

    @Test func `allows an immediate play to wait for the commit before it`() {
        var run = Run()
        run.play(1, at: .zero)
        run.batches.recordStart(iteration: run.iteration)
        run.uncommitted = 0
        run.play(2, at: .zero)
        run.iteration += 1
        run.batches.recordEnd(iteration: run.iteration, callsSoFar: 0)
        run.calls.record([PlayCount(of: video(1), 1)], at: .start, iteration: run.iteration)
        run.call([(2, 1)], at: .zero)
        #expect(run.violatedRules() == [])
    }

    @Test func `allows a play that is not immediate to wait`() {
        var run = Run()
        run.play(1, at: .zero, times: 99)
        run.call([(1, 99)], at: .zero)
        run.play(1, at: .zero)
        run.iteration += 1
        run.commit()
        run.iteration += 1
        run.call([(1, 100)], at: .seconds(59))
        #expect(run.violatedRules() == [])
    }

    @Test func `fails a run that ended without progress`() {
        var run = Run()
        run.standstill = "no progress for 30.0 seconds"
        #expect(run.violatedRules() == ["the run makes progress until all plays are counted"])
    }

    private let immediacy = "each play below 100 is in the first calls after its commit"

    @Test func `fails a run with any other play that is late`() {
        var run = Run()
        run.play(1, at: .zero, times: 100)
        run.call([(1, 99)], at: .zero)
        run.call([(1, 100)], at: .seconds(60))
        #expect(run.violatedRules() == [])
        run.play(1, at: .seconds(70))
        run.call([(1, 101)], at: .seconds(130) + .milliseconds(1))
        #expect(run.violatedRules() == ["every play is published within 60.0 seconds"])
    }

    @Test func `fails a run with too many calls or too few cold videos`() {
        var run = Run()
        for index in 0..<14 { run.play(index, at: .zero) }
        run.call((0..<14).map { ($0, 1) }, at: .zero)
        var verdict = run.verdict(minimumCalls: 1, coldVideos: 14)
        #expect(verdict.passes)
        verdict = run.verdict(minimumCalls: 1, coldVideos: 15)
        #expect(verdict.rules.filter { !$0.holds }.map(\.detail) == ["14 videos"])
        run.play(0, at: .zero)
        run.call([(0, 2)], at: .zero)
        verdict = run.verdict(minimumCalls: 1, coldVideos: 1)
        #expect(verdict.callsRatio == 2)
        #expect(
            verdict.rules.filter { !$0.holds }.map(\.detail) == ["2 calls, 1 necessary"])
    }

    @Test func `uses the calls of a run as the minimum if they are fewer than planned`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 1)], at: .zero)
        let verdict = run.verdict(minimumCalls: 2)
        #expect(verdict.callsRatio == 1)
        #expect(verdict.minimumCalls == 1)
    }

    @Test func `starts with the counts of earlier runs`() {
        var run = Run()
        run.play(1, at: .zero)
        run.call([(1, 501)], at: .seconds(50))
        let verdict = run.verdict(before: [.init(of: video(1), 500, published: 500)])
        #expect(verdict.passes, "\(verdict.rules.filter { !$0.holds })")
        #expect(verdict.playsCounted == 1)
        #expect(verdict.batchedPlays == 1)
    }

    @Test func `measures no latency for counts of an earlier run`() {
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
                "every final total equals the number of plays sent"
            ])
    }

    @Test func `reports free slots and the longest lateness`() {
        var run = Run()
        run.play(1, at: .zero, times: 100)
        run.call([(1, 99)], at: .milliseconds(3))
        run.call([(1, 100)], at: .seconds(61))
        #expect(run.verdict().emptySlots == 38)
        #expect(run.verdict().worstLatenessMilliseconds == 1_000)
    }

    @Test func `allows immediate plays to wait for others with a coalescing delay`() {
        var run = Run()
        run.play(1, at: .zero)
        run.commit()
        run.iteration += 1
        run.call([(1, 1)], at: .milliseconds(24))
        #expect(run.violatedRules() == [immediacy])
        #expect(run.verdict(coalesce: .milliseconds(20)).passes)
        #expect(run.verdict(coalesce: .milliseconds(20)).worstLatenessMilliseconds == 4)
    }
}

/// The logs of a run, artificial or simulated.
private struct Run {
    var plays = PlayLog()
    var calls = CallLog()
    var batches = BatchLog()
    var iteration = 0
    /// The number of plays that no commit contains yet.
    var uncommitted = 0
    var standstill: String?
    var minimumCalls: Int?

    init() {}

    /// Simulates 200,000 plays a second in batches of 500.
    init(_ generated: PlayGenerator) {
        var counter = PlayCounter()
        var arrivals: [Arrivals] = []
        for (index, play) in generated.enumerated() {
            let now = MonotonicInstant.start + .microseconds(index / 500 * 2500)
            plays.record(play.videoID, at: now)
            counter.count(play, arrival: now)
            if index % 500 == 499 {
                arrivals.append(
                    Arrivals(instant: now + .milliseconds(1), changes: counter.removeChanges()))
            }
        }
        calls = simulate(arrivals).log
        minimumCalls = plan(arrivals)
        for arrival in arrivals {
            for _ in 0..<500 { batches.recordPlay(iteration: iteration) }
            batches.recordStart(iteration: iteration)
            batches.recordEnd(
                iteration: iteration,
                callsSoFar: calls.entries.count { $0.instant < arrival.instant })
        }
    }

    mutating func play(_ index: Int, at instant: Duration, times: Int = 1) {
        for _ in 0..<times {
            plays.record(video(index), at: .start + instant)
            batches.recordPlay(iteration: iteration)
        }
        uncommitted += times
    }

    /// Commits the plays since the last commit.
    mutating func commit() {
        batches.recordStart(iteration: iteration)
        batches.recordEnd(iteration: iteration, callsSoFar: calls.calls)
        uncommitted = 0
    }

    /// Makes a call. Plays that are not committed are committed first.
    mutating func call(_ counts: [(index: Int, count: Int)], at instant: Duration) {
        if uncommitted > 0 { commit() }
        calls.record(
            counts.map { PlayCount(of: video($0.index), $0.count) }, at: .start + instant,
            iteration: iteration)
    }

    func verdict(
        minimumCalls: Int? = nil, coldVideos: Int = 0, coalesce: Duration = .zero,
        before: [PlayStore.StoredCount] = []
    ) -> Verdict {
        var bounds = Verdict.Bounds()
        bounds.coalesce = coalesce
        if self.minimumCalls == nil { bounds.coldVideos = coldVideos }
        let run = Verdict.Run(
            minimumCalls: minimumCalls ?? self.minimumCalls ?? calls.calls,
            duration: .milliseconds(500), countsBefore: before,
            standstill: standstill)
        return Verdict(
            produced: plays, received: plays, batches: batches, calls: calls, of: run,
            bounds: bounds)
    }

    func violatedRules() -> [String] {
        verdict().rules.filter { !$0.holds }.map(\.rule)
    }
}
