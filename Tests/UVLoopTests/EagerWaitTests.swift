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

    @Test func `leaves it alone for longer each time that it looked for nothing`() {
        var now: Int64 = 1_000
        var pauses: [Int] = []
        for _ in 1...3 {
            var pause = 0
            while !newsCome(at: now) {
                pause += 1
                now += 10
            }
            pauses.append(pause)
            now += 50
            #expect(!waits(at: now))
        }
        // The first is what it takes to see that news come quickly.
        #expect(pauses == [1, 5, 17])
    }

    @Test func `looks at once where it paid before`() {
        #expect(!newsCome(at: 1_000))
        for now in stride(from: Int64(1_010), to: 1_100, by: 10) { #expect(newsCome(at: now)) }
        #expect(!waits(at: 1_150))
        for now in stride(from: Int64(1_200), to: 1_250, by: 10) { #expect(!newsCome(at: now)) }
        #expect(newsCome(at: 1_250))
    }

    /// Timers do not tell the loop of news, and what they do may take long.
    @Test func `takes no turn for a look in which something else was done`() {
        #expect(!newsCome(at: 1_000))
        #expect(!wait.hasOnlyLooked(for: 1))
        #expect(newsCome(at: 1_010))
        #expect(wait.hasOnlyLooked(for: 1))
        #expect(!wait.hasOnlyLooked(for: 50))
        wait.news()
        #expect(!wait.hasOnlyLooked(for: 1))
    }
}
