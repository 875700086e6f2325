import BrokerCore
import NSQBroker
import NSQWire
import TallyBasics
import Testing

@Suite struct `The hand-over of messages to another broker` {
    private func next(
        _ broker: JournaledBroker, _ configure: (inout HandOverLimits) -> Void = { _ in }
    ) -> HandOverBatch? {
        var limits = HandOverLimits()
        configure(&limits)
        var position = HandOverPosition()
        for _ in 0..<1_000 {
            let found = broker.core.nextHandOver(
                of: .plays, from: &position, limits, at: broker.now)
            switch found {
            case .batch(let batch): return batch
            case .unfinished: broker.runIteration()
            case .end, .unreadable: return nil
            }
        }
        return nil
    }

    private func finish(_ batch: HandOverBatch, _ broker: JournaledBroker) {
        broker.runIteration { broker.core.finishHandOver(batch, at: broker.now) }
    }

    private func create(_ channels: ChannelName..., in broker: JournaledBroker) {
        broker.runIteration {
            broker.core.createTopic(.plays, at: broker.now)
            for channel in channels {
                _ = broker.core.createChannel(channel, of: .plays, at: broker.now)
            }
        }
    }

    private func bodies(_ batch: HandOverBatch?) -> [String] {
        (batch?.messages ?? []).map { String(decoding: $0.body, as: UTF8.self) }
    }

    @Test func `groups messages by the channels that have not finished them`() throws {
        let broker = try JournaledBroker()
        create(.count, .archive, in: broker)
        broker.publish("a", "b", "c", "d")
        let consumer = broker.consumer(ready: 2)
        #expect(consumer.received() == ["OK", "a", "b"])
        consumer.send(.ready(count: 0))
        consumer.finish(["a"])
        broker.runIteration { broker.core.suspendDeliveries(true, of: .plays, at: broker.now) }
        let first = try #require(next(broker))
        #expect(bodies(first) == ["a", "b"])
        #expect(first.channels == [.archive])
        finish(first, broker)
        let second = try #require(next(broker))
        #expect(bodies(second) == ["c", "d"])
        #expect(second.channels == [.archive, .count])
        finish(second, broker)
        #expect(next(broker) == nil)
        // The message in flight is available when it is requeued.
        consumer.requeue("b")
        let third = try #require(next(broker))
        #expect(bodies(third) == ["b"])
        #expect(third.channels == [.count])
        finish(third, broker)
        #expect(broker.core.unfinishedCount == 0)
        let restarted = try JournaledBroker(on: broker.disk)
        #expect(restarted.core.unfinishedCount == 0)
    }

    @Test func `keeps messages until they are acknowledged, also after a kill`() throws {
        let broker = try JournaledBroker()
        create(.count, in: broker)
        broker.publish("a", "b", "c")
        let batch = try #require(next(broker) { $0.messages = 2 })
        #expect(bodies(batch) == ["a", "b"])
        let killed = try JournaledBroker(on: broker.disk.copy())
        #expect(killed.delivered() == ["a", "b", "c"])
        finish(batch, broker)
        let restarted = try JournaledBroker(on: broker.disk)
        #expect(restarted.delivered() == ["c"])
    }

    @Test func `keeps the rests of deferrals`() throws {
        let broker = try JournaledBroker()
        create(.count, .archive, in: broker)
        let producer = broker.client()
        producer.send(.deferredPublish(.plays, afterMilliseconds: 5_000), body: "later")
        broker.advanceTime(by: .seconds(2))
        let consumer = broker.consumer(ready: 1)
        broker.publish("now")
        #expect(consumer.received() == ["OK", "now"])
        consumer.requeue("now", afterMilliseconds: 1_000)
        var batches: [HandOverBatch] = []
        while let batch = next(broker, { $0.hasDelays = false }) {
            batches.append(batch)
            finish(batch, broker)
        }
        let found = Dictionary(
            uniqueKeysWithValues: batches.map { batch in
                (
                    "\(bodies(batch)) \(batch.channels!.map(\.text))",
                    batch.messages[0].delay
                )
            })
        #expect(
            found == [
                #"["later"] ["archive", "count"]"#: .seconds(3), #"["now"] ["archive"]"#: .zero,
                #"["now"] ["count"]"#: .seconds(1),
            ])
        #expect(broker.core.unfinishedCount == 0)
        broker.advanceTime(by: .seconds(60))
        #expect(try JournaledBroker(on: broker.disk).core.unfinishedCount == 0)
    }

    @Test func `takes the messages of a topic without channels, and of a paused one`() throws {
        for isPaused in [false, true] {
            let broker = try JournaledBroker()
            if isPaused {
                create(.count, in: broker)
                broker.runIteration {
                    _ = broker.core.pauseTopic(.plays, true, at: broker.now)
                }
            }
            broker.publish("a", "b", "c")
            broker.client().send(.deferredPublish(.plays, afterMilliseconds: 1_000), body: "d")
            let first = try #require(next(broker) { $0.messages = 2 })
            #expect(bodies(first) == ["a", "b"])
            #expect(first.channels == nil)
            finish(first, broker)
            // Only the state of channels records the end of some of the messages.
            let killed = try JournaledBroker(on: broker.disk.copy())
            #expect(killed.core.unfinishedCount == (isPaused ? 2 : 4))
            while let batch = next(broker) { finish(batch, broker) }
            #expect(broker.core.unfinishedCount == 0)
            #expect(try JournaledBroker(on: broker.disk).core.unfinishedCount == 0)
        }
    }

    @Test func `suspends deliveries only while messages are on their way`() throws {
        let broker = try JournaledBroker()
        create(.count, in: broker)
        broker.runIteration { broker.core.suspendDeliveries(true, of: .plays, at: broker.now) }
        broker.publish("a")
        let consumer = broker.consumer()
        #expect(consumer.received() == ["OK"])
        broker.runIteration { broker.core.suspendDeliveries(false, of: .plays, at: broker.now) }
        #expect(consumer.received() == ["a"])
    }

    @Test func `reads messages that are not in memory, with bounded steps`() throws {
        var options = BrokerOptions()
        options.memoryQueueSize = 1
        let broker = try JournaledBroker(brokerOptions: options)
        create(.count, in: broker)
        let body = String(repeating: "x", count: 1_000)
        let producer = broker.client()
        for number in 0..<300 { producer.publish("\(number) \(body)") }
        var numbers: [Int] = []
        while let batch = next(
            broker,
            {
                $0.steps = 10; $0.bytes = 20_000
            })
        {
            #expect(batch.byteCount <= 20_000)
            numbers += bodies(batch).map { Int($0.split(separator: " ")[0])! }
            finish(batch, broker)
        }
        #expect(numbers == Array(0..<300))
        #expect(broker.core.unfinishedCount == 0)
    }

    @Test func `reaches exactly the channels that have not finished a message`() throws {
        let broker = try JournaledBroker()
        create(.archive, in: broker)
        let body = Array("a".utf8)
        broker.runIteration {
            body.withUnsafeBytes { bytes in
                try? broker.core.receiveHandOver(
                    [(bytes, .zero), (bytes, .seconds(1))], to: .plays, channels: [.count],
                    isForChannels: true, at: broker.now)
            }
        }
        broker.advanceTime(by: .milliseconds(1))
        #expect(broker.delivered(to: .archive) == [])
        let restarted = try JournaledBroker(on: broker.disk.copy(), at: broker.now)
        restarted.advanceTime(by: .milliseconds(1))
        #expect(restarted.delivered(to: .archive) == [])
        let consumer = broker.consumer()
        #expect(consumer.received() == ["OK", "a"])
        broker.advanceTime(by: .seconds(1))
        #expect(consumer.received() == ["a"])
    }

    @Test func `is refused for single channels of a paused topic`() throws {
        let broker = try JournaledBroker()
        create(.count, in: broker)
        broker.runIteration { _ = broker.core.pauseTopic(.plays, true, at: broker.now) }
        broker.runIteration {
            #expect(throws: HandOverRefusal.self) {
                try broker.core.receiveHandOver(
                    [], to: .plays, channels: [.count], isForChannels: true, at: broker.now)
            }
        }
    }
}

extension JournaledClient {
    fileprivate func send(_ command: Command, body: String) {
        var bytes: [UInt8] = []
        command.append(body: Array(body.utf8), to: &bytes)
        send(bytes)
    }
}
