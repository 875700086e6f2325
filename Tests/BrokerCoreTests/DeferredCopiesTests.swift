import BrokerCore
import NSQWire
import Testing

/// Copying one deferred message to 200 channels takes the budgets of many iterations. A test makes a
/// change when only some of the channels have received their copies.
@Suite struct `A deferred message for many channels` {
    private static let channels = (0..<200).map { ChannelName("channel\($0)")! }
    private static let (first, last) = (channels[0], channels[199])

    private let broker = TestBroker { $0.stepsPerIteration = 100 }

    init() {
        for channel in Self.channels {
            broker.core.createTopic(.plays, at: broker.now)
            _ = broker.core.createChannel(channel, of: .plays, at: broker.now)
        }
    }

    /// Publishes the message, and calls `operation` after ten iterations, and `next` after ten more.
    ///
    /// - Returns: the number of iterations that continued the work.
    @discardableResult
    private func publish(
        _ operation: @escaping () -> Void = {}, then next: @escaping () -> Void = {}
    ) -> Int {
        let producer = broker.client()
        let before = broker.iterationCount
        broker.afterContinuation = { [unowned broker] in
            if broker.iterationCount == before + 10 { operation() }
            if broker.iterationCount == before + 20 { next() }
        }
        producer.publish("later", after: .seconds(1))
        broker.afterContinuation = {}
        #expect(producer.take() == [.ok])
        return broker.iterationCount - before - 1
    }

    private func deferredCount(_ channel: ChannelName) -> Int? {
        statistics(channel)?.deferredCount
    }

    private func statistics(_ channel: ChannelName) -> ChannelStatistics? {
        broker.topic()?.channels.first { $0.name == channel }
    }

    private func expectEachChannelHasOne(except exception: ChannelName? = nil) {
        #expect(broker.topic()?.depth == 0)
        for channel in Self.channels where channel != exception {
            #expect(deferredCount(channel) == 1 && statistics(channel)?.messageCount == 1)
        }
        broker.pass(.seconds(2))
        for channel in Self.channels where channel != exception {
            #expect(statistics(channel)?.depth == 1)
        }
    }

    @Test func `is copied in several iterations, and the memory is released at the end`() {
        var depths: [Int] = []
        let count = publish { [broker] in depths.append(broker.topic()!.depth) }
        #expect(count >= 200 * 20 / 100 - 1)
        #expect(depths == [1])
        expectEachChannelHasOne()
        for channel in Self.channels {
            let consumer = broker.consumer(of: channel, ready: 1)
            consumer.finish(consumer.takeMessages())
            consumer.leave()
        }
        broker.pass(.seconds(60))
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test func `can be finished in a channel while others wait for their copy`() {
        let consumer = broker.consumer(of: Self.first, ready: 1)
        var depth = 0
        publish { [broker] in
            broker.passUnnoticed(.seconds(1))
            broker.core.tick(at: broker.now)
        } then: { [broker] in
            consumer.finish(consumer.takeMessages())
            depth = broker.topic()!.depth
        }
        #expect(depth == 1)
        #expect(statistics(Self.first)?.messageCount == 1)
        #expect(statistics(Self.first)?.inFlightCount == 0)
        broker.pass(.seconds(1))
        for channel in Self.channels.dropFirst() { #expect(statistics(channel)?.depth == 1) }
        #expect(consumer.takeMessages() == [])
    }

    @Test func `is not for a channel that is created meanwhile`() {
        publish { [broker] in
            _ = broker.core.createChannel(.count, of: .plays, at: broker.now)
        }
        #expect(deferredCount(.count) == 0)
        expectEachChannelHasOne()
    }

    @Test(arguments: [first, last])
    func `reaches the other channels if one is deleted meanwhile`(channel: ChannelName) {
        publish { [broker] in
            _ = broker.core.deleteChannel(channel, of: .plays, at: broker.now)
        }
        expectEachChannelHasOne(except: channel)
    }

    @Test(arguments: [first, last])
    func `is discarded for a channel that is emptied meanwhile, and counted`(channel: ChannelName) {
        publish { [broker] in _ = broker.core.emptyChannel(channel, of: .plays, at: broker.now) }
        #expect(deferredCount(channel) == 0)
        #expect(statistics(channel)?.messageCount == 1)
        expectEachChannelHasOne(except: channel)
    }

    @Test(arguments: [true, false])
    func `belongs to the channels if the topic is paused or emptied meanwhile`(isPaused: Bool) {
        publish { [broker] in
            if isPaused {
                _ = broker.core.pauseTopic(.plays, true, at: broker.now)
            } else {
                _ = broker.core.emptyTopic(.plays, at: broker.now)
            }
        }
        expectEachChannelHasOne()
    }

    @Test func `is removed with the topic`() {
        publish { [broker] in _ = broker.core.deleteTopic(.plays, at: broker.now) }
        broker.pass(.seconds(60))
        #expect(broker.statistics.topics == [])
        #expect(broker.statistics.usedMemoryBytes == 0)
        #expect(broker.statistics.accountedBytes[.deliveries] == 0)
    }
}
