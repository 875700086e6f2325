import NSQClient
import NSQWire
import Testing
import UVLoop

@Suite struct `A producer with two nsqds` {
    private func options(_ distribution: Producer.Options.Distribution) -> Producer.Options {
        var options = Producer.Options()
        options.client.minReconnectDelay = .milliseconds(1)
        options.client.maxReconnectDelay = .milliseconds(5)
        options.distribution = distribution
        return options
    }

    /// Calls `body` with a started producer.
    private func withTwo(
        _ distribution: Producer.Options.Distribution,
        _ body: @escaping (Loop, ProducerEngine, [FakeNSQD]) -> Void
    ) throws {
        try withNSQD { loop, first in
            let second = try FakeNSQD(on: loop)
            let producer = ProducerEngine(
                on: loop, nsqds: [first.address, second.address], options: options(distribution),
                logger: quiet)
            producer.start()
            body(loop, producer, [first, second])
        }
    }

    private func stop(_ producer: ProducerEngine, _ second: FakeNSQD, _ loop: Loop) {
        producer.stop {
            second.close()
            loop.stop()
        }
    }

    @Test func `publishes to both in turn`() throws {
        var counts: [Int] = []
        try withTwo(.roundRobin) { loop, producer, nsqds in
            let areConnected = { nsqds.allSatisfy { $0.publishCount > 0 } }
            publishUntil(producer, areConnected) {
                let before = nsqds.map(\.publishCount)
                var accepted = 0
                for _ in 0..<10 {
                    producer.publish([1], to: plays) { error in
                        #expect(error == nil)
                        accepted += 1
                        guard accepted == 10 else { return }
                        counts = zip(nsqds, before).map { $0.publishCount - $1 }
                        stop(producer, nsqds[1], loop)
                    }
                }
            }
        }
        #expect(counts == [5, 5])
    }

    @Test func `publishes to the first, to the second while the first is down, and then back`()
        throws
    {
        var hasReturned = false
        try withTwo(.failover) { loop, producer, nsqds in
            publishUntil(producer, { nsqds[0].publishCount > 0 }) {
                let (first, second) = (nsqds[0].publishCount, nsqds[1].publishCount)
                nsqds[0].script = { connection, command, _ in
                    // The first nsqd is down until the second has accepted a message.
                    guard nsqds[1].publishCount == second else { return false }
                    connection.close()
                    return true
                }
                nsqds[0].connections.last?.close()
                publishUntil(producer, { nsqds[1].publishCount > second }) {
                    publishUntil(producer, { nsqds[0].publishCount > first }) {
                        hasReturned = true
                        stop(producer, nsqds[1], loop)
                    }
                }
            }
        }
        #expect(hasReturned)
    }

    /// Publishes one message after the other until `isDone` returns `true`.
    private func publishUntil(
        _ producer: ProducerEngine, _ isDone: @escaping () -> Bool, _ done: @escaping () -> Void
    ) {
        producer.publish([1], to: plays) { _ in
            if isDone() { done() } else { self.publishUntil(producer, isDone, done) }
        }
    }
}

extension FakeNSQD {
    /// The number of received publishes.
    fileprivate var publishCount: Int {
        connections.reduce(0) { $0 + $1.commands.count { $0 == .publish(plays) } }
    }
}
