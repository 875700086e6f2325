import NSQClient
import Testing

@Suite struct `The division of max-in-flight among connections` {
    /// Applies changes of RDY counts in order. Checks after each change that the sum is within the
    /// maximum.
    private struct Levels {
        var ready: [Int: Int] = [:]

        mutating func apply(_ changes: [ReadyDistribution.Change], within most: Int) {
            for change in changes {
                ready[change.connection] = change.ready
                #expect(ready.values.reduce(0, +) <= most)
            }
        }
    }

    @Test func `gives a single connection no more than nsqd's maximum RDY count`() {
        var budget = ReadyDistribution(maxInFlight: 4000)
        #expect(budget.add(1, maxReady: 2500) == [.init(connection: 1, ready: 2500)])
    }

    @Test func `has a largest maximum, with any limit of nsqd`() {
        var budget = ReadyDistribution(maxInFlight: .max)
        let largest = ReadyDistribution.largestMaxInFlight
        #expect(budget.maxInFlight == largest)
        #expect(budget.add(1, maxReady: 2500) == [.init(connection: 1, ready: 2500)])
        #expect(budget.add(2, maxReady: .max) == [.init(connection: 2, ready: largest - 2500)])
        _ = budget.setMaxInFlight(10)
        let changes = budget.setMaxInFlight(.max)
        #expect(changes.map(\.ready).max() == largest - 2500)
        let statistics = Consumer.Statistics.Connection(
            address: "127.0.0.1:4150", readyCount: largest, inFlightCount: 1, isLeaving: false)
        #expect(!statistics.isStarved)
    }

    @Test func `is equal, with the remainder for the first connections`() {
        var budget = ReadyDistribution(maxInFlight: 10)
        var levels = Levels()
        for connection in 1...3 {
            levels.apply(budget.add(connection, maxReady: 100), within: 10)
        }
        #expect(levels.ready == [1: 4, 2: 3, 3: 3])
    }

    @Test func `gives the others what exceeds the limit of one connection`() {
        var budget = ReadyDistribution(maxInFlight: 100)
        var levels = Levels()
        levels.apply(budget.add(1, maxReady: 10), within: 100)
        levels.apply(budget.add(2, maxReady: 1000), within: 100)
        #expect(levels.ready == [1: 10, 2: 90])
    }

    @Test func `is repeated when a connection is removed`() {
        var budget = ReadyDistribution(maxInFlight: 10)
        for connection in 1...3 { _ = budget.add(connection, maxReady: 100) }
        #expect(
            budget.remove(1)
                == [.init(connection: 2, ready: 5), .init(connection: 3, ready: 5)])
    }

    @Test func `gives each connection one message when there are as many messages as connections`()
    {
        var budget = ReadyDistribution(maxInFlight: 3)
        var levels = Levels()
        for connection in 1...3 { levels.apply(budget.add(connection, maxReady: 100), within: 3) }
        #expect(levels.ready == [1: 1, 2: 1, 3: 1])
    }

    @Test func `gives idle connections one message each while another one is busy`() {
        var budget = ReadyDistribution(maxInFlight: 100)
        var levels = Levels()
        for connection in 1...4 {
            levels.apply(budget.add(connection, maxReady: 2500), within: 100)
        }
        levels.apply(budget.updateIdle { $0 != 2 }, within: 100)
        #expect(levels.ready == [1: 1, 2: 97, 3: 1, 4: 1])
        #expect(budget.updateIdle { $0 != 2 }.isEmpty)
        levels.apply(budget.updateIdle { $0 > 2 }, within: 100)
        #expect(levels.ready == [1: 49, 2: 49, 3: 1, 4: 1])
        levels.apply(budget.updateIdle { _ in true }, within: 100)
        #expect(levels.ready == [1: 25, 2: 25, 3: 25, 4: 25])
    }

    @Test func `gives the busy connection no more than its limit`() {
        var budget = ReadyDistribution(maxInFlight: 100)
        var levels = Levels()
        levels.apply(budget.add(1, maxReady: 10), within: 100)
        levels.apply(budget.add(2, maxReady: 2500), within: 100)
        levels.apply(budget.updateIdle { $0 == 2 }, within: 100)
        #expect(levels.ready == [1: 10, 2: 1])
    }

    @Test func `rotates when there are more connections than messages`() {
        var budget = ReadyDistribution(maxInFlight: 2)
        var levels = Levels()
        for connection in 0..<5 { levels.apply(budget.add(connection, maxReady: 100), within: 2) }
        var served: [Int: Int] = [:]
        for _ in 0..<5 {
            for (connection, ready) in levels.ready where ready > 0 {
                served[connection, default: 0] += ready
            }
            levels.apply(budget.rotate(), within: 2)
        }
        #expect(served == [0: 2, 1: 2, 2: 2, 3: 2, 4: 2])
    }

    @Test func `serves other connections after each rotation`() {
        var budget = ReadyDistribution(maxInFlight: 2)
        var levels = Levels()
        for connection in 0..<5 { levels.apply(budget.add(connection, maxReady: 100), within: 2) }
        var served: [[Int]] = []
        for _ in 0..<5 {
            served.append(levels.ready.filter { $0.value > 0 }.keys.sorted())
            levels.apply(budget.rotate(), within: 2)
        }
        #expect(served == [[0, 1], [2, 3], [0, 4], [1, 2], [3, 4]])
    }

    @Test func `does not change on rotation when every connection has messages`() {
        var budget = ReadyDistribution(maxInFlight: 2)
        _ = budget.add(1, maxReady: 100)
        #expect(budget.rotate().isEmpty)
    }

    @Test func `gives all connections RDY 0 for a maximum of zero, and resumes later`() {
        var budget = ReadyDistribution(maxInFlight: 4)
        var levels = Levels()
        for connection in 1...2 { levels.apply(budget.add(connection, maxReady: 9), within: 4) }
        levels.apply(budget.setMaxInFlight(0), within: 0 + 4)
        #expect(levels.ready == [1: 0, 2: 0])
        #expect(budget.rotate().isEmpty)
        levels.apply(budget.setMaxInFlight(4), within: 4)
        #expect(levels.ready == [1: 2, 2: 2])
    }

    @Test func `gives nothing to a capped connection, and its share to the others`() {
        var budget = ReadyDistribution(maxInFlight: 10)
        var levels = Levels()
        for connection in 1...3 {
            levels.apply(budget.add(connection, maxReady: 100), within: 10)
        }
        levels.apply(budget.setCap(2, to: 0), within: 10)
        #expect(levels.ready == [1: 5, 2: 0, 3: 5])
        levels.apply(budget.setCap(2, to: 1), within: 10)
        #expect(levels.ready == [1: 5, 2: 1, 3: 4])
        levels.apply(budget.setCap(2, to: nil), within: 10)
        #expect(levels.ready == [1: 4, 2: 3, 3: 3])
    }

    @Test func `counts a connection that may receive nothing as not busy`() {
        var budget = ReadyDistribution(maxInFlight: 100)
        var levels = Levels()
        for connection in 1...3 {
            levels.apply(budget.add(connection, maxReady: 2500), within: 100)
        }
        levels.apply(budget.updateIdle { $0 != 1 }, within: 100)
        levels.apply(budget.setCap(1, to: 0), within: 100)
        #expect(levels.ready == [1: 0, 2: 50, 3: 50])
    }

    @Test func `rotates among the connections that are not capped`() {
        var budget = ReadyDistribution(maxInFlight: 1)
        var levels = Levels()
        for connection in 1...3 {
            levels.apply(budget.add(connection, maxReady: 100), within: 1)
        }
        levels.apply(budget.setCap(2, to: 0), within: 1)
        var served: Set<Int> = []
        for _ in 0..<4 {
            levels.apply(budget.rotate(), within: 1)
            served.formUnion(levels.ready.filter { $0.value > 0 }.keys)
        }
        #expect(served == [1, 3])
    }
}
