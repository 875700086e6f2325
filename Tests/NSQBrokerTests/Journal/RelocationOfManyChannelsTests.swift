import BrokerCore
import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

/// Old messages that 500 channels need, and newer ones that are finished.
@Suite(.blocking) struct `The relocation of messages that many channels need` {
    private let broker: JournaledBroker
    private var disk: MemoryDisk { broker.disk }

    private static let channels = (1...500).map { ChannelName("channel\($0)")! }

    init() throws {
        var options = BrokerOptions()
        options.stepsPerIteration = 300
        broker = try JournaledBroker(brokerOptions: options) {
            $0.maxBytesPerFile = 50_000
            $0.syncEvery = .max
        }
        let broker = broker
        broker.runIteration {
            broker.core.createTopic(.plays, at: broker.now)
            for channel in Self.channels {
                _ = broker.core.createChannel(channel, of: .plays, at: broker.now)
            }
        }
        broker.publish("one", "two", "three")
        let filler = String(repeating: "x", count: 20_000)
        let consumer = broker.consumer(of: .count, .likes)
        for number in 1...10 { broker.publish("\(number) \(filler)", to: .likes) }
        let received = consumer.received().dropFirst()
        #expect(received.count == 10)
        consumer.finish(received)
        #expect(disk.contents.count > 3)
    }

    private func sync() {
        broker.retryAfterFailure()
        broker.finishSyncs()
    }

    @Test func `counts the needed bytes within the budgets of several iterations`() {
        // The topic, its segment and its channels take 500 steps each.
        #expect(broker.advanceTime(by: .seconds(6)) >= 1_500 / 300)
        #expect(broker.journal.segmentToRelocate(neededBytes: 0) == nil)
    }

    @Test func `keeps the messages of each channel`() throws {
        let deliveries = broker.consumer(of: Self.channels[0])
        #expect(deliveries.received() == ["OK", "one", "two", "three"])
        deliveries.finish(["two"])
        _ = broker.consumer(of: Self.channels[1], ready: 1)
        broker.runIteration {
            _ = broker.core.emptyChannel(Self.channels[2], of: .plays, at: broker.now)
        }
        sync()
        broker.advanceTime(by: .seconds(6))
        sync()
        sync()
        let files = disk.contents.keys.sorted()
        #expect(files.first! > 1)
        let next = try JournaledBroker(on: disk.copy())
        #expect(next.report.damages == [])
        #expect(next.delivered(to: Self.channels[0]) == ["one", "three"])
        #expect(next.delivered(to: Self.channels[1]).sorted() == ["one", "three", "two"])
        #expect(next.delivered(to: Self.channels[2]) == [])
        for channel in [Self.channels[3], Self.channels[499]] {
            #expect(next.delivered(to: channel) == ["one", "two", "three"])
        }
    }
}
