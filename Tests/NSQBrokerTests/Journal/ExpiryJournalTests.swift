import BrokerCore
import NSQBroker
import NSQWire
import TallyBasics
import Testing

@Suite struct `Messages on disk with a lifetime` {
    private static var options: BrokerOptions {
        var options = BrokerOptions()
        options.memoryQueueSize = 1
        options.lifetimes.defaultLifetime = .seconds(100)
        return options
    }

    private func broker(with messages: Int) throws -> JournaledBroker {
        let broker = try JournaledBroker(brokerOptions: Self.options)
        broker.runIteration {
            broker.core.createTopic(.plays, at: broker.now)
            _ = broker.core.createChannel(.count, of: .plays, at: broker.now)
        }
        let body = String(repeating: "x", count: 1_000)
        let producer = broker.client()
        for number in 0..<messages { producer.publish("\(number) \(body)") }
        return broker
    }

    private func depth(_ broker: JournaledBroker) -> Int? {
        broker.core.statistics(at: broker.now).topics.first?.channels.first?.depth
    }

    @Test func `expire in whole segments without a read, and stay expired after a restart`()
        throws
    {
        let broker = try broker(with: 300)
        broker.advanceTime(by: .seconds(120))
        // The last segments are younger than the next one, or are in memory.
        #expect(depth(broker) == 0)
        let restarted = try JournaledBroker(
            on: broker.disk, at: broker.now, brokerOptions: Self.options)
        #expect(depth(restarted) == 0)
    }

    @Test func `expire after a restart, and not with a clock that is set back`() throws {
        let first = try broker(with: 10)
        let copy = first.disk.copy()
        let later = Timestamp(
            monotonic: 42_000_000_000, wall: first.now.wall + Duration.seconds(101).nanoseconds)
        let restarted = try JournaledBroker(
            on: first.disk, at: later, brokerOptions: Self.options)
        #expect(restarted.delivered() == [])
        let earlier = Timestamp(
            monotonic: 42_000_000_000, wall: first.now.wall - Duration.seconds(9_999).nanoseconds)
        let behind = try JournaledBroker(on: copy, at: earlier, brokerOptions: Self.options)
        #expect(behind.delivered().count == 10)
    }
}
