import NSQWire
import TallyBasics
import Testing

@testable import BrokerCore

@Suite struct `The deliveries in flight` {
    let pool = DeliveryPool()

    private func add(due: Int64, to consumer: Int32, isLongest: Bool = false) -> Int32 {
        let id = pool.allocate()
        pool[id].state = .inFlight
        pool[id].consumer = consumer
        pool[id].sortKey = due
        pool.prepare(consumer, deadline: due)
        if isLongest { pool.appendLongest(id) } else { pool.appendInFlight(id) }
        return id
    }

    /// Removes the deliveries that are due.
    private func expired(at now: Int64) -> [Int32] {
        var ids: [Int32] = []
        while let id = pool.firstDue(at: now) {
            pool.remove(id)
            pool.free(id)
            ids.append(id)
        }
        return ids
    }

    @Test func `expire at their deadlines and not before, whatever consumer they belong to`() {
        let ids = [
            add(due: 5, to: 0), add(due: 3, to: 1), add(due: 9, to: 0),
            add(due: 4, to: 1, isLongest: true), add(due: 2, to: 7, isLongest: true),
        ]
        #expect(pool.nextCheck == 2)
        #expect(expired(at: 1) == [])
        #expect(expired(at: 2) == [ids[4]])
        #expect(expired(at: 3) == [ids[1]])
        #expect(pool.nextCheck == 4)
        #expect(expired(at: 8) == [ids[3], ids[0]])
        #expect(pool.nextCheck == 9)
        #expect(expired(at: 9) == [ids[2]])
        #expect(pool.nextCheck == nil)
    }

    @Test func `leave a later check after the earliest one is finished`() {
        let first = add(due: 5, to: 0)
        let second = add(due: 8, to: 0)
        pool.remove(first)
        pool.free(first)
        #expect(expired(at: 7) == [])
        #expect(pool.nextCheck == 8)
        #expect(expired(at: 8) == [second])
    }

    @Test func `of a new consumer in a reused slot expire at its own, shorter timeout`() {
        let earlier = add(due: 50, to: 0)
        pool.remove(earlier)
        pool.free(earlier)
        let later = add(due: 10, to: 0)
        #expect(pool.nextCheck == 10)
        #expect(expired(at: 10) == [later])
        let last = add(due: 60, to: 0)
        #expect(expired(at: 59) == [])
        #expect(expired(at: 60) == [last])
    }

    @Test func `to one consumer are found without those of others`() {
        let ids = [add(due: 1, to: 0), add(due: 2, to: 1), add(due: 3, to: 0, isLongest: true)]
        #expect(pool.firstInFlight(to: 0) == ids[0])
        pool.remove(ids[0])
        #expect(pool.firstInFlight(to: 0) == ids[2])
        pool.remove(ids[2])
        #expect(pool.firstInFlight(to: 0) == nil)
        #expect(pool.firstInFlight(to: 1) == ids[1])
        #expect(pool.firstInFlight(to: 100) == nil)
    }

    @Test(arguments: [1, 2, 3, 17, 64, 100])
    func `with deadlines in any order expire in the order of their deadlines`(count: Int) {
        var random = SplitMix64(seed: UInt64(count))
        var ids = (0..<count).map { _ in
            add(due: Int64(random.next() % 50), to: 0, isLongest: true)
        }
        for _ in 0..<count / 3 {
            let id = ids.remove(at: Int(random.next() % UInt64(ids.count)))
            pool.remove(id)
            pool.free(id)
        }
        let expected = ids.map { pool[$0].sortKey }.sorted()
        var deadlines: [Int64] = []
        for now in Int64(0)...50 { deadlines += expired(at: now).map { pool[$0].sortKey } }
        #expect(deadlines == expected)
        #expect(pool.longest.count == 0)
    }
}

@Suite struct `A TOUCH near the maximum timeout` {
    private func touched(_ count: Int) throws -> (broker: TestBroker, steps: Int) {
        let broker = TestBroker {
            $0.maxMessageTimeout = .seconds(10)
            $0.maxReadyCount = count
        }
        let consumer = broker.consumer(ready: count) { $0.messageTimeout = 5_000 }
        let producer = broker.client()
        for _ in 0..<count {
            producer.publish("play")
            broker.passUnnoticed(.nanoseconds(1))
        }
        let messages = consumer.takeMessages()
        broker.passUnnoticed(.seconds(4))
        broker.iteration { for message in messages { consumer.touch(message) } }
        broker.passUnnoticed(.seconds(4))
        broker.iteration { for message in messages.reversed() { consumer.touch(message) } }
        let deliveries = try #require(consumer.session.subscription.channel).deliveries
        #expect(deliveries.longestTimeoutCount == count)
        return (broker, deliveries.longestStepCount)
    }

    @Test
    func `of all messages, the newest first, costs hardly more per message if there are more`()
        throws
    {
        let few = try touched(1_000).steps
        let many = try touched(4_000).steps
        #expect(many <= 6 * few, "\(few) steps for 1,000 messages, \(many) for 4,000")
    }

    @Test func `does not extend the timeout beyond the maximum`() throws {
        let (broker, _) = try touched(10)
        broker.pass(.seconds(2) - .nanoseconds(20))
        #expect(broker.channel()?.timeoutCount == 0)
        broker.pass(.nanoseconds(20))
        #expect(broker.channel()?.timeoutCount == 10)
    }
}
