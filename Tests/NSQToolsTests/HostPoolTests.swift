import Testing

@testable import NSQTools

private func seconds(_ number: Int) -> Int64 { Int64(number) * 1_000_000_000 }

@Suite struct `A pool of hosts` {
    @Test func `selects all hosts in turn`() {
        var pool = HostPool(3, .roundRobin, seed: 1)
        pool.record(1, responseTime: nil, at: 0)
        #expect((0..<6).map { _ in pool.select(at: 0) } == [0, 1, 2, 0, 1, 2])
    }

    @Test func `leaves out a host that failed, for a growing time`() {
        var pool = HostPool(2, .respondingHosts, seed: 1)
        pool.record(1, responseTime: nil, at: 0)
        #expect((0..<3).map { _ in pool.select(at: seconds(29)) } == [0, 0, 0])
        #expect(pool.select(at: seconds(30)) == 1)
        pool.record(1, responseTime: nil, at: seconds(30))
        #expect((0..<3).map { _ in pool.select(at: seconds(89)) } == [0, 0, 0])
        #expect(pool.select(at: seconds(90)) == 1)
        pool.record(1, responseTime: .seconds(1), at: seconds(90))
        #expect((0..<4).map { _ in pool.select(at: seconds(90)) } == [0, 1, 0, 1])
        // After a response, the time until the next attempt is short again.
        pool.record(1, responseTime: nil, at: seconds(90))
        #expect((0..<2).map { _ in pool.select(at: seconds(119)) } == [0, 0])
        #expect(pool.select(at: seconds(120)) == 1)
    }

    @Test func `leaves out a host for at most 15 minutes`() {
        var pool = HostPool(2, .respondingHosts, seed: 1)
        for _ in 0..<20 { pool.record(1, responseTime: nil, at: 0) }
        #expect((0..<2).map { _ in pool.select(at: seconds(899)) } == [0, 0])
        #expect(pool.select(at: seconds(900)) == 1)
    }

    @Test func `tries all hosts again if none responds`() {
        var pool = HostPool(2, .respondingHosts, seed: 1)
        for index in 0..<2 { pool.record(index, responseTime: nil, at: 0) }
        #expect(Set((0..<2).map { _ in pool.select(at: 0) }) == [0, 1])
    }

    @Test func `prefers the fastest host, and tries the others`() {
        var pool = HostPool(3, .epsilonGreedy, seed: 3)
        let times: [Duration] = [.milliseconds(50), .milliseconds(5), .milliseconds(500)]
        var counts = [0, 0, 0]
        for _ in 0..<1_000 {
            let index = pool.select(at: 0)
            counts[index] += 1
            pool.record(index, responseTime: times[index], at: 0)
        }
        #expect(counts[1] > 800)
        #expect(counts[0] > 0 && counts[2] > 0)
        pool.record(1, responseTime: nil, at: 0)
        #expect((0..<20).allSatisfy { _ in pool.select(at: seconds(1)) != 1 })
    }

    @Test(arguments: [
        ("a b&c", "a+b%26c"), ("", ""), ("~-_.", "~-_."), ("é\n", "%C3%A9%0A"), ("+%", "%2B%25"),
    ])
    func `receives messages in the encoding of a query`(text: String, escaped: String) {
        #expect(HTTPForwarder.escaped(Array(text.utf8)) == escaped)
    }
}
