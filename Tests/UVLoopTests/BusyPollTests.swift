import TestTraits
import Testing

@testable import UVLoop

@Suite(.blocking) final class `A busy poll` {
    private var poll = BusyPoll(timeLimit: 50)

    /// Records input, and asks how the loop waits after it.
    private func shouldPollAfterInput(at now: Int64) -> Bool {
        poll.recordInput()
        poll.waitEnded(at: now)
        return shouldPoll(at: now)
    }

    private func shouldPoll(at now: Int64) -> Bool { poll.shouldPoll(at: now) }

    @Test func `does not poll when input is rare`() {
        for now in stride(from: Int64(1_000), to: 2_000, by: 50) {
            #expect(!shouldPollAfterInput(at: now))
        }
    }

    @Test func `polls up to its time limit after input within that limit`() {
        #expect(!shouldPollAfterInput(at: 1_000))
        #expect(shouldPollAfterInput(at: 1_049))
        poll.waitEnded(at: 1_098)
        #expect(shouldPoll(at: 1_098))
        poll.waitEnded(at: 1_099)
        #expect(!shouldPoll(at: 1_099))
    }

    @Test func `polls again as long as input arrives within the limit`() {
        #expect(!shouldPollAfterInput(at: 1_000))
        for now in stride(from: Int64(1_030), to: 2_000, by: 30) {
            #expect(shouldPollAfterInput(at: now))
        }
    }

    @Test func `skips more waits after each poll without input`() {
        var now: Int64 = 1_000
        var skips: [Int] = []
        for _ in 1...3 {
            var skipped = 0
            while !shouldPollAfterInput(at: now) {
                skipped += 1
                now += 10
            }
            skips.append(skipped)
            now += 50
            #expect(!shouldPoll(at: now))
        }
        // The first input can only be within the limit after one wait has passed.
        #expect(skips == [1, 5, 17])
    }

    @Test func `polls at once when earlier polls had input`() {
        #expect(!shouldPollAfterInput(at: 1_000))
        for now in stride(from: Int64(1_010), to: 1_100, by: 10) {
            #expect(shouldPollAfterInput(at: now))
        }
        #expect(!shouldPoll(at: 1_150))
        for now in stride(from: Int64(1_200), to: 1_250, by: 10) {
            #expect(!shouldPollAfterInput(at: now))
        }
        #expect(shouldPollAfterInput(at: 1_250))
    }

    /// Timers do not record input, and their work can take long.
    @Test func `does not count an iteration with other work as an empty poll`() {
        #expect(!shouldPollAfterInput(at: 1_000))
        #expect(!poll.isEmptyPoll(ofDuration: 1))
        #expect(shouldPollAfterInput(at: 1_010))
        #expect(poll.isEmptyPoll(ofDuration: 1))
        #expect(!poll.isEmptyPoll(ofDuration: 50))
        poll.recordInput()
        #expect(!poll.isEmptyPoll(ofDuration: 1))
    }
}
