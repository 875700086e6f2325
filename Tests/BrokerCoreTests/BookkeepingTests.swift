import NSQWire
import Testing

@testable import BrokerCore

@Suite struct `What the core notes for itself` {
    let broker = TestBroker()

    private var alarms: Int { broker.core.turn.alarms.count }

    @Test func `is one alarm for a client, however often it says IDENTIFY`() {
        let client = broker.client()
        var wishes = Identify()
        broker.turn {
            for round in 0..<1_000 {
                wishes.heartbeatInterval = round.isMultiple(of: 2) ? 60_000 : 30_000
                client.identify(wishes)
            }
        }
        #expect(alarms <= 2)
    }

    @Test func `is one alarm for what is due late, however much is due before it`() {
        let consumer = broker.consumer(ready: 10) { $0.heartbeatInterval = 60_000 }
        let producer = broker.client()
        producer.publish("late", after: .seconds(3_600))
        producer.publish("play")
        for _ in 1...1_000 {
            consumer.requeue(consumer.takeMessages()[0], after: .milliseconds(1))
            broker.pass(.milliseconds(2))
        }
        #expect(alarms < 10)
    }

    @Test func `of a deleted channel leaves when its time comes`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("play", after: .seconds(10))
        broker.control { $0.deleteTopic(.plays, at: $1) }
        broker.pass(.seconds(70))
        #expect(alarms == 0)
        withExtendedLifetime(consumer) {}
    }

    @Test func `is no memory for a session that has gone`() {
        weak var session: Session?
        weak var channel: Channel?
        do {
            let consumer = broker.consumer(of: .brief, .brief, ready: 10)
            consumer.publish("play", to: .brief)
            session = consumer.session
            channel = consumer.session.channel
            #expect(channel != nil)
            consumer.leave()
        }
        #expect(session == nil)
        #expect(channel == nil)
    }

    @Test func `goes with the broker, though sessions are still there`() {
        weak var channel: Channel?
        do {
            let broker = TestBroker()
            let client = broker.consumer()
            client.publish("play")
            channel = client.session.channel
            #expect(channel != nil)
        }
        #expect(channel == nil)
    }

    @Test func `is no room for consumers that have gone`() throws {
        let first = broker.consumer(ready: 1)
        let crowd = (1...100).map { _ in broker.consumer() }
        for consumer in crowd { consumer.leave() }
        let channel = try #require(first.session.channel)
        #expect(channel.consumers.count == 1)
        #expect(channel.consumerCount == 1)
    }

    @Test func `is little once a crowd of deliveries is gone`() throws {
        let consumers = (1...8).map { _ in broker.consumer(ready: 2_500) }
        broker.client().multiPublish((1...20_000).map { _ in "x" })
        let channel = try #require(consumers[0].session.channel)
        let crowd = ObjectIdentifier(channel.deliveries)
        for consumer in consumers { consumer.finish(consumer.takeMessages()) }
        broker.pass(.seconds(10))
        #expect(ObjectIdentifier(channel.deliveries) != crowd)
        broker.client().publish("play")
        #expect(consumers.map { $0.takeMessages().count }.reduce(0, +) == 1)
    }

    @Test func `of a segment that was compacted is as little as what is left of it`() throws {
        let segment = Segment(
            serial: 1, firstOrdinal: 0, isDeferred: false, slab: SlabPool().slab(of: 2 << 20))
        let share = Share(segment, settled: 0)
        share.reach(50_000)
        for index in 0..<50_000 {
            share.setState(index % 10_000 == 7 ? 3 : Share.settledState, of: index)
        }
        share.compact()
        #expect(share.stateCount == 0)
        #expect(share.deliveredIndexes.sorted() == [7, 10_007, 20_007, 30_007, 40_007])
        #expect(share.state(of: 7) == 3)
        #expect(share.state(of: 8) < 0)
        share.setState(Share.settledState, of: 7)
        #expect(share.state(of: 7) < 0)
        share.setState(12, of: 40_007)
        #expect(share.deliveredIndexes.sorted() == [10_007, 20_007, 30_007, 40_007])
        #expect(share.state(of: 40_007) == 12)
    }
}

@Suite struct `A list of deadlines` {
    let pool = DeliveryPool()

    private func add(due: Int64, to list: Int32) -> Int32 {
        let id = pool.allocate()
        pool[id].state = .inFlight
        pool[id].due = due
        pool.append(id, to: list)
        return id
    }

    @Test func `keeps its order, whatever is taken out and put back`() {
        let list = pool.list(ofTimeout: 10)
        let ids = [5, 1, 3, 3, 9].map { add(due: $0, to: list) }
        #expect(pool.nextDue == 1)
        #expect(pool.firstDue(at: 0) == nil)
        pool.remove(ids[1])
        #expect(pool.nextDue == 3)
        #expect(pool.firstDue(at: 3) == ids[2], "the first of equals")
        pool.remove(ids[4])
        pool[ids[4]].due = 0
        pool.append(ids[4], to: list)
        #expect(pool.firstDue(at: 3) == ids[4])
    }

    @Test func `is there for each length of timeout, and serves another when it is empty`() {
        let one = pool.list(ofTimeout: 1)
        let id = add(due: 1, to: one)
        let two = pool.list(ofTimeout: 2)
        #expect(one != two)
        #expect(pool.list(ofTimeout: 1) == one)
        pool.remove(id)
        #expect(pool.list(ofTimeout: 3) == one)
        #expect(pool.lists.count == 4)
    }

    @Test func `takes a touch beyond the longest timeout without a walk through the others`() {
        // The time a walk would take is what an attacker is after; what can be seen of it is the
        // list the delivery stands in.
        let broker = TestBroker { $0.maxMessageTimeout = .seconds(10) }
        let consumer = broker.consumer(ready: 10) { $0.messageTimeout = 5_000 }
        broker.client().publish("play")
        let message = consumer.takeMessages()[0]
        broker.pass(.seconds(4))
        consumer.touch(message)
        let deliveries = consumer.session.channel!.deliveries
        #expect(deliveries.lists[Int(DeliveryPool.longestList)].count == 0)
        broker.pass(.seconds(4))
        consumer.touch(message)
        #expect(deliveries.lists[Int(DeliveryPool.longestList)].count == 1)
        consumer.finish(message)
        #expect(deliveries.lists[Int(DeliveryPool.longestList)].count == 0)
    }
}
