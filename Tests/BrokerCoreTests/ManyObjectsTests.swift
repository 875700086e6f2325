import BrokerCore
import NSQWire
import Testing

/// With costs that are quadratic in these counts, each test would take many minutes.
@Suite struct `Twenty thousand` {
    private static let count = 20_000

    private static func topic(_ number: Int) -> TopicName { TopicName("topic\(number)")! }
    private static func channel(_ number: Int) -> ChannelName { ChannelName("channel\(number)")! }

    @Test
    func `topics in the snapshots of eight log files are recovered, and missing ones deleted`() {
        let broker = Broker(at: .start)
        let snapshots = (1...Self.count).map {
            TopicSnapshot(
                name: Self.topic($0), isPaused: false,
                channels: [.init(name: .count, isPaused: $0.isMultiple(of: 2))])
        }
        broker.beginRecovery()
        for _ in 1...8 { broker.recover(snapshots, at: .start) }
        broker.recover(Array(snapshots.dropFirst()), at: .start)
        broker.endRecovery(at: .start)
        #expect(!broker.hasTopic(Self.topic(1)))
        #expect(broker.topicAndChannelNames.count == Self.count - 1)
        #expect(
            broker.statistics(at: .start).topics.filter { $0.channels[0].isPaused }.count == 10_000)
    }

    @Test func `channels of a topic are created, recovered and deleted with the topic`() {
        let broker = Broker(at: .start)
        broker.createTopic(.plays, at: .start)
        for number in 1...Self.count {
            #expect(broker.createChannel(Self.channel(number), of: .plays, at: .start))
        }
        let names = broker.topicAndChannelNames[0].channels
        #expect(names.count == Self.count)
        #expect(names == names.sorted { $0 < $1 })
        for number in 1...Self.count / 2 {
            #expect(broker.deleteChannel(Self.channel(number), of: .plays, at: .start))
        }
        #expect(!broker.deleteChannel(Self.channel(1), of: .plays, at: .start))
        #expect(broker.deleteTopic(.plays, at: .start))
        #expect(broker.topicAndChannelNames.isEmpty)
    }

    @Test func `consumers of a channel with messages in flight disconnect, and nothing is lost`() {
        let broker = TestBroker()
        let consumers = (1...2_000).map { _ in broker.consumer(ready: 10) }
        broker.client().multiPublish((1...Self.count).map { "\($0)" })
        #expect(broker.channel()?.inFlightCount == Self.count)
        broker.iteration { for consumer in consumers { consumer.leave() } }
        #expect(broker.channel()?.inFlightCount == 0)
        let last = broker.consumer(ready: 2_500)
        var found: Set<String> = []
        while case let messages = last.takeMessages(), !messages.isEmpty {
            found.formUnion(messages.map(\.text))
            #expect(messages.allSatisfy { $0.attempts == 2 })
            last.finish(messages)
        }
        #expect(found.count == Self.count)
    }
}
