import NSQClient
import Testing

@Suite struct `Max-in-flight` {
    /// Applies changes as they come, and checks at each that the bound holds.
    private struct Levels {
        var ready: [Int: Int] = [:]

        mutating func apply(_ changes: [ReadyBudget.Change], within most: Int) {
            for change in changes {
                ready[change.connection] = change.ready
                #expect(ready.values.reduce(0, +) <= most)
            }
        }
    }

    @Test func `goes to the only connection, as far as nsqd allows`() {
        var budget = ReadyBudget(maxInFlight: 4000)
        #expect(budget.join(1, most: 2500) == [.init(connection: 1, ready: 2500)])
    }

    @Test func `is shared equally, the rest to those that came first`() {
        var budget = ReadyBudget(maxInFlight: 10)
        var levels = Levels()
        for connection in 1...3 {
            levels.apply(budget.join(connection, most: 100), within: 10)
        }
        #expect(levels.ready == [1: 4, 2: 3, 3: 3])
    }

    @Test func `that one connection cannot take goes to the others`() {
        var budget = ReadyBudget(maxInFlight: 100)
        var levels = Levels()
        levels.apply(budget.join(1, most: 10), within: 100)
        levels.apply(budget.join(2, most: 1000), within: 100)
        #expect(levels.ready == [1: 10, 2: 90])
    }

    @Test func `is shared out anew when a connection leaves`() {
        var budget = ReadyBudget(maxInFlight: 10)
        for connection in 1...3 { _ = budget.join(connection, most: 100) }
        #expect(
            budget.leave(1)
                == [.init(connection: 2, ready: 5), .init(connection: 3, ready: 5)])
    }

    @Test func `gives everyone one as long as there are enough`() {
        var budget = ReadyBudget(maxInFlight: 3)
        var levels = Levels()
        for connection in 1...3 { levels.apply(budget.join(connection, most: 100), within: 3) }
        #expect(levels.ready == [1: 1, 2: 1, 3: 1])
    }

    @Test func `goes round when there are more connections than messages`() {
        var budget = ReadyBudget(maxInFlight: 2)
        var levels = Levels()
        for connection in 0..<5 { levels.apply(budget.join(connection, most: 100), within: 2) }
        var served: [Int: Int] = [:]
        for _ in 0..<5 {
            for (connection, ready) in levels.ready where ready > 0 {
                served[connection, default: 0] += ready
            }
            levels.apply(budget.rotate(), within: 2)
        }
        #expect(served == [0: 2, 1: 2, 2: 2, 3: 2, 4: 2])
    }

    @Test func `stays where it is on a rotation that is not needed`() {
        var budget = ReadyBudget(maxInFlight: 2)
        _ = budget.join(1, most: 100)
        #expect(budget.rotate().isEmpty)
    }

    @Test func `of zero pauses everyone, and can be raised again`() {
        var budget = ReadyBudget(maxInFlight: 4)
        var levels = Levels()
        for connection in 1...2 { levels.apply(budget.join(connection, most: 9), within: 4) }
        levels.apply(budget.setMaxInFlight(0), within: 0 + 4)
        #expect(levels.ready == [1: 0, 2: 0])
        #expect(budget.rotate().isEmpty)
        levels.apply(budget.setMaxInFlight(4), within: 4)
        #expect(levels.ready == [1: 2, 2: 2])
    }
}
