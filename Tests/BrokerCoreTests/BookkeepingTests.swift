import NSQWire
import Testing

@testable import BrokerCore

@Suite struct `The broker's own memory` {
    let broker = TestBroker()

    private var timerCount: Int { broker.core.context.timerCount }

    @Test func `contains one timer for a client that sends many IDENTIFYs`() {
        let client = broker.client()
        var request = Identify()
        broker.iteration {
            for round in 0..<1_000 {
                request.heartbeatInterval = round.isMultiple(of: 2) ? 60_000 : 30_000
                client.identify(request)
            }
        }
        #expect(timerCount <= 2)
    }

    @Test func `contains one timer for a late deadline after many early ones`() {
        let consumer = broker.consumer(ready: 10) { $0.heartbeatInterval = 60_000 }
        let producer = broker.client()
        producer.publish("late", after: .seconds(3_600))
        producer.publish("play")
        for _ in 1...1_000 {
            consumer.requeue(consumer.takeMessages()[0], after: .milliseconds(1))
            broker.pass(.milliseconds(2))
        }
        #expect(timerCount < 10)
    }

    @Test func `contains no timer of a deleted channel after its deadline`() {
        let consumer = broker.consumer(ready: 10)
        broker.client().publish("play", after: .seconds(10))
        broker.control { $0.deleteTopic(.plays, at: $1) }
        broker.pass(.seconds(70))
        #expect(timerCount == 0)
        withExtendedLifetime(consumer) {}
    }

    @Test func `contains neither a disconnected session nor its ephemeral channel`() {
        weak var session: Session?
        weak var channel: Channel?
        do {
            let consumer = broker.consumer(of: .brief, .brief, ready: 10)
            consumer.publish("play", to: .brief)
            session = consumer.session
            channel = consumer.session.subscription.channel
            #expect(channel != nil)
            consumer.leave()
        }
        #expect(session == nil)
        #expect(channel == nil)
    }

    @Test func `is released with the broker although sessions still exist`() {
        weak var channel: Channel?
        do {
            let broker = TestBroker()
            let client = broker.consumer()
            client.publish("play")
            channel = client.session.subscription.channel
            #expect(channel != nil)
        }
        #expect(channel == nil)
    }

    @Test func `contains no slots for consumers that have disconnected`() throws {
        let first = broker.consumer(ready: 1)
        let crowd = (1...100).map { _ in broker.consumer() }
        for consumer in crowd { consumer.leave() }
        let channel = try #require(first.session.subscription.channel)
        #expect(channel.consumers.slotCount == 1)
        #expect(channel.consumers.count == 1)
    }

    @Test func `shrinks after many deliveries have been finished`() throws {
        let consumers = (1...8).map { _ in broker.consumer(ready: 2_500) }
        broker.client().multiPublish((1...20_000).map { _ in "x" })
        let channel = try #require(consumers[0].session.subscription.channel)
        let capacity = channel.deliveries.capacity
        for consumer in consumers { consumer.finish(consumer.takeMessages()) }
        broker.pass(.seconds(10))
        #expect(channel.deliveries.capacity < capacity)
        broker.client().publish("play")
        #expect(consumers.map { $0.takeMessages().count }.reduce(0, +) == 1)
    }

    @Test func `contains only the remaining messages of a compacted segment`() throws {
        let segment = Segment(
            serial: 1, firstOrdinal: 0, isDeferred: false, slab: SlabPool().slab(of: 2 << 20))
        let channelSegment = ChannelSegment(segment, settledCount: 0)
        channelSegment.reserve(50_000)
        for index in 0..<50_000 {
            channelSegment.setState(index % 10_000 == 7 ? 3 : ChannelSegment.settled, of: index)
        }
        channelSegment.compact()
        #expect(channelSegment.stateCount == 0)
        #expect(channelSegment.deliveredIndexes.sorted() == [7, 10_007, 20_007, 30_007, 40_007])
        #expect(channelSegment.state(of: 7) == 3)
        #expect(channelSegment.state(of: 8) < 0)
        channelSegment.setState(ChannelSegment.settled, of: 7)
        #expect(channelSegment.state(of: 7) < 0)
        channelSegment.setState(12, of: 40_007)
        #expect(channelSegment.deliveredIndexes.sorted() == [10_007, 20_007, 30_007, 40_007])
        #expect(channelSegment.state(of: 40_007) == 12)
    }
}
