@testable import PlayCounts
import TallyBasics
import TestTraits
import Testing

/// The costs of a steady flow of 20,000 plays a second of 100 popular videos, as numbers of operations,
/// which do not depend on the speed of the machine.
@Suite(.blocking) struct `A steady flow of 20,000 plays a second` {
    private static let videos = 100

    /// 100 messages arrive every 5 ms, and a commit takes 2 ms.
    @Test func `needs 20 commits a second, and finishes the messages of a commit together`() {
        var settings = PlayProcessor.Settings()
        settings.jitterSeed = 1
        let totals = (0..<Self.videos).map { PlayCount(of: video($0), 1_000) }
        var machine = PlayProcessorStateMachine<Int>(
            counter: PlayCounter(totals), deduplication: DeduplicationWindow(at: .start),
            settings: settings, at: .start)
        var (commits, publishes, finishes, finished) = (0, 0, 0, 0)
        var commitEnd: MonotonicInstant?
        for millisecond in 0..<2_000 {
            let now = MonotonicInstant.start + .milliseconds(millisecond)
            if millisecond % 5 == 0 {
                for index in 0..<100 {
                    let key = (UInt64(millisecond), UInt64(index))
                    let isNew = machine.count(
                        Play(of: video(index % Self.videos)),
                        Fingerprinter(key: key).source(nsqd: "", topic: plays), at: now)
                    #expect(isNew)
                }
                machine.append(100, messages: 100, limit: 1_250, publishedAt: now, at: now)
            }
            if let end = commitEnd, end <= now {
                machine.commitSucceeded(at: now)
                commitEnd = nil
            }
            while let action = machine.nextAction(at: now, areClientsIdle: true) {
                switch action {
                case .batch(.commit):
                    commits += 1
                    commitEnd = now + .milliseconds(2)
                case .batch(.publish(let changes)):
                    publishes += 1
                    #expect(changes.count == Self.videos)
                case .batch(.finish(let deliveries)):
                    finishes += 1
                    finished += deliveries.reduce(0, +)
                default: Issue.record("unexpected action \(action)")
                }
            }
        }
        #expect(30...44 ~= commits)
        #expect(publishes == finishes && commits - finishes <= 1)
        #expect(finished >= 2 * 20_000 - 1_250)
    }

    /// Each commit changes all videos. The client accepts each call at once.
    @Test func `needs five calls a minute`() {
        var scheduler = CallScheduler()
        var calls = 0
        for tick in 0..<2_400 {
            let time = Duration.milliseconds(50 * tick)
            scheduler.enqueue(
                (0..<Self.videos).map { change($0, count: 1_000 + 10 * tick, at: time) })
            for call in scheduler.startDueCalls(at: .start + time) {
                calls += 1
                scheduler.callAccepted(call)
            }
        }
        #expect(calls == 10)
    }
}
