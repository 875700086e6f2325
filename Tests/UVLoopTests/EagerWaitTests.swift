import Testing

@testable import UVLoop

@Suite final class `A loop that waits eagerly` {
    private var wait = EagerWait(for: 50)

    /// Something comes in, and all is done with it at `now`.
    private func newsCome(at now: Int64) -> Bool {
        wait.news()
        wait.waited(until: now)
        return waits(at: now)
    }

    private func waits(at now: Int64) -> Bool { wait.waits(at: now) }

    @Test func `lets the system wake it where news are rare`() {
        for now in stride(from: Int64(1_000), to: 2_000, by: 50) {
            #expect(!newsCome(at: now))
        }
    }

    @Test func `looks again once news came quickly, and as long as that`() {
        #expect(!newsCome(at: 1_000))
        #expect(newsCome(at: 1_049))
        wait.waited(until: 1_098)
        #expect(waits(at: 1_098))
        wait.waited(until: 1_099)
        #expect(!waits(at: 1_099))
    }

    @Test func `goes on looking where news come quickly`() {
        #expect(!newsCome(at: 1_000))
        for now in stride(from: Int64(1_030), to: 2_000, by: 30) {
            #expect(newsCome(at: now))
        }
    }

    @Test func `looks no more after it did so for nothing`() {
        #expect(!newsCome(at: 1_000))
        #expect(newsCome(at: 1_010))
        #expect(!waits(at: 1_060))
        #expect(!newsCome(at: 1_200))
        #expect(newsCome(at: 1_210))
    }
}
