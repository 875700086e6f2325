import BrokerCore
import NSQWire
import Testing

/// A test publishes 20 deferred messages for 50 channels, and then makes a change in the same
/// iteration. The budget of one iteration suffices only for a few of the 1,000 copies.
@Suite struct `Deferred messages that are not dispatched yet` {
    private let broker = TestBroker { $0.stepsPerIteration = 100 }
    private let channels = (0..<50).map { ChannelName("channel\($0)")! }
    private let later = ChannelName("later")!

    /// Publishes the messages, and calls `operation` in the same iteration.
    ///
    /// - Returns: the number of iterations that continued the work.
    private func publish(_ operation: () -> Void) -> Int {
        for channel in channels {
            broker.core.createTopic(.plays, at: broker.now)
            _ = broker.core.createChannel(channel, of: .plays, at: broker.now)
        }
        let producer = broker.client()
        let before = broker.iterationCount
        broker.iteration {
            for _ in 1...20 { producer.publish("later", after: .seconds(1)) }
            operation()
        }
        #expect(producer.take() == (1...20).map { _ in .ok })
        return broker.iterationCount - before - 1
    }

    private func deferredCount(_ channel: ChannelName) -> Int? {
        broker.topic()?.channels.first { $0.name == channel }?.deferredCount
    }

    private func expectEachChannelHasAll(except exception: ChannelName? = nil) {
        for channel in channels where channel != exception {
            #expect(deferredCount(channel) == 20, "\(channel)")
        }
    }

    private func createLater() {
        _ = broker.core.createChannel(later, of: .plays, at: broker.now)
    }

    @Test func `are not for a channel that is created before their dispatch`() {
        #expect(publish(createLater) >= 8)
        expectEachChannelHasAll()
        #expect(deferredCount(later) == 0)
        broker.client().publish("new", after: .seconds(1))
        #expect(deferredCount(later) == 1)
        #expect(deferredCount(channels[0]) == 21)
    }

    @Test func `are dispatched while the topic is paused, and later ones are not`() {
        let count = publish { _ = broker.core.pauseTopic(.plays, true, at: broker.now) }
        #expect(count >= 8)
        expectEachChannelHasAll()
        broker.client().publish("held", after: .seconds(1))
        createLater()
        #expect(broker.topic()?.depth == 1)
        #expect(deferredCount(channels[0]) == 20)
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        #expect(deferredCount(channels[0]) == 21)
        #expect(deferredCount(later) == 1)
    }

    @Test func `are discarded for a channel that is emptied before their dispatch`() {
        let count = publish {
            _ = broker.core.emptyChannel(channels[7], of: .plays, at: broker.now)
        }
        #expect(count >= 8)
        expectEachChannelHasAll(except: channels[7])
        #expect(deferredCount(channels[7]) == 0)
        broker.client().publish("new", after: .seconds(1))
        #expect(deferredCount(channels[7]) == 1)
    }

    @Test func `are kept when the topic is emptied, because they belong to its channels`() {
        #expect(publish { _ = broker.core.emptyTopic(.plays, at: broker.now) } >= 8)
        expectEachChannelHasAll()
    }

    @Test func `are kept when the paused topic is emptied, and later ones are discarded`() {
        let count = publish {
            _ = broker.core.pauseTopic(.plays, true, at: broker.now)
            broker.client().publish("held", after: .seconds(1))
            _ = broker.core.emptyTopic(.plays, at: broker.now)
        }
        #expect(count >= 8)
        expectEachChannelHasAll()
        #expect(broker.topic()?.depth == 0)
        broker.control { $0.pauseTopic(.plays, false, at: $1) }
        expectEachChannelHasAll()
    }

    @Test func `are discarded with the last channel`() {
        _ = publish {
            for channel in channels {
                _ = broker.core.deleteChannel(channel, of: .plays, at: broker.now)
            }
            createLater()
        }
        #expect(deferredCount(later) == 0)
        #expect(broker.topic()?.depth == 0)
        broker.pass(.seconds(1))
        #expect(broker.channel(later)?.depth == 0)
    }

    @Test func `release their memory when all channels have finished them`() {
        _ = publish(createLater)
        broker.pass(.seconds(1))
        for channel in channels {
            let consumer = broker.consumer(of: channel, ready: 100)
            let messages = consumer.takeMessages()
            #expect(messages.count == 20)
            for message in messages { consumer.finish(message) }
        }
        #expect(broker.core.memoryBytes.used == 0)
    }
}
