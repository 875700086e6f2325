import TallyBasics
import Testing

@testable import PlayCounts

@Suite struct `The commits of a processor with a shared store` {
    private typealias Machine = SharedCommitStateMachine<String>
    private let fingerprinter = Fingerprinter(key: (1, 2))
    private let now = MonotonicInstant(nanoseconds: 5_000_000_000)

    private func video(_ number: UInt64) -> VideoID { VideoID(high: 1, low: number) }

    private func add(_ number: UInt64, video id: UInt64 = 1, to machine: inout Machine) {
        machine.add(
            Play(of: video(id)),
            Fingerprint(low: number &* 0x9E37_79B9_7F4A_7C15, high: number | 1))
    }

    private func batch(_ action: Machine.Action?) -> SharedStore.Batch? {
        if case .commit(let batch) = action { batch } else { nil }
    }

    private func finished(_ action: Machine.Action?) -> [String]? {
        if case .finish(let deliveries) = action { deliveries } else { nil }
    }

    @Test func `start at once for a video that may have few plays`() {
        var machine = Machine(PlayProcessor.Settings())
        add(1, to: &machine)
        machine.append("a", messages: 1, limit: 100, at: now)
        #expect(batch(machine.nextAction(at: now, isStopping: false))?.plays == 1)
        #expect(machine.nextAction(at: now, isStopping: false) == nil)
        machine.commitSucceeded(.init(totals: [PlayCount(of: video(1), 1)], counted: 1))
        #expect(finished(machine.nextAction(at: now, isStopping: false)) == ["a"])
        #expect(machine.isIdle)
        #expect(machine.statistics.counted == 1)
    }

    @Test func `wait for more plays of videos with many plays`() {
        var machine = Machine(PlayProcessor.Settings())
        add(1, to: &machine)
        machine.append("a", messages: 1, limit: 100, at: now)
        _ = machine.nextAction(at: now, isStopping: false)
        machine.commitSucceeded(.init(totals: [PlayCount(of: video(1), 500)], counted: 1))
        _ = machine.nextAction(at: now, isStopping: false)
        add(2, to: &machine)
        machine.append("b", messages: 1, limit: 100, at: now)
        #expect(machine.nextAction(at: now, isStopping: false) == nil)
        #expect(machine.nextDeadline == now + .milliseconds(50))
        #expect(batch(machine.nextAction(at: now + .milliseconds(50), isStopping: false)) != nil)
    }

    @Test func `repeat a failed batch unchanged and finish nothing before`() {
        var machine = Machine(PlayProcessor.Settings())
        for number in [9, 3, 9, 5] as [UInt64] { add(number, to: &machine) }
        machine.append("a", messages: 4, limit: 100, at: now)
        let first = batch(machine.nextAction(at: now, isStopping: false))
        #expect(first?.plays == 3)
        machine.commitFailed(at: now)
        #expect(machine.nextAction(at: now, isStopping: false) == nil)
        let later = now + .seconds(1)
        let second = batch(machine.nextAction(at: later, isStopping: false))
        #expect(second?.fingerprints == first?.fingerprints)
        // The first commit was in fact successful: all plays are duplicates now.
        machine.commitSucceeded(.init())
        #expect(finished(machine.nextAction(at: later, isStopping: false)) == ["a"])
        #expect(machine.statistics.duplicates == 4)
    }

    @Test func `contain fingerprints in the order of the database`() {
        let plays = Dictionary(
            uniqueKeysWithValues: (0..<500 as Range<UInt64>).map {
                (Fingerprint(low: $0, high: $0 &* 0x9E37_79B9_7F4A_7C15), video($0))
            })
        let batch = SharedStore.Batch(plays)
        let rows = stride(from: 0, to: batch.fingerprints.count, by: 16).map {
            Array(batch.fingerprints[$0..<$0 + 16])
        }
        #expect(rows.count == 500)
        #expect(zip(rows, rows.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
    }
}
