import BrokerCore
import NSQBroker
import NSQWire
import TallyBasics
import Testing

@Suite struct `A message that was delivered too often` {
    private static let set = TopicName("plays.count.failed")!

    private static var options: BrokerOptions {
        var options = BrokerOptions()
        options.attemptLimits.byChannel[.plays] = [.count: 2]
        return options
    }

    /// A broker in which message `bad` has failed, while `good` is in flight.
    private func broker(_ disk: MemoryDisk = MemoryDisk()) throws -> JournaledBroker {
        let broker = try JournaledBroker(on: disk, brokerOptions: Self.options)
        let consumer = broker.consumer(ready: 10)
        _ = broker.consumer(of: .archive, ready: 0)
        broker.publish("bad", "good")
        #expect(consumer.received() == ["OK", "bad", "good"])
        consumer.requeue("bad")
        #expect(consumer.received() == ["bad"])
        consumer.requeue("bad")
        #expect(consumer.received() == [])
        broker.finishSyncs()
        return broker
    }

    private func failed(_ broker: JournaledBroker) -> [FailedMessage] {
        broker.core.failedMessages(
            of: .count, .plays, FailedSelection(limit: 10), at: broker.now
        ).messages.map(\.message)
    }

    @Test func `is moved to the failed set with its origin`() throws {
        let broker = try broker()
        for broker in [broker, try JournaledBroker(on: broker.disk, brokerOptions: Self.options)] {
            let messages = failed(broker)
            #expect(messages.count == 1)
            let message = try #require(messages.first)
            #expect(message.topic == .plays)
            #expect(message.channel == .count)
            #expect(message.attempts == 2)
            #expect(message.id.count == 16)
            #expect(message.publishedAt == Int(Timestamp.start.wall))
            #expect(String(decoding: message.body, as: UTF8.self) == "bad")
            #expect(broker.core.failedSets.map(\.topic) == [Self.set])
            let plays = broker.core.statistics(at: broker.now).topics.first { $0.name == .plays }
            let count = plays?.channels.first { $0.name == .count }
            #expect((count?.depth ?? 0) + (count?.inFlightCount ?? 0) == 1)
            #expect(count?.deferredCount == 0)
        }
    }

    @Test func `is in its channel or in the failed set after a kill at any write`() throws {
        let source = try broker().disk
        let writes = source.writes
        var (published, moved) = (0, 0)
        for cut in writes.indices {
            let disk = source.copy()
            // Half of one write, and none of those that follow, has reached the disk.
            for (number, write) in writes.enumerated().dropFirst(cut) {
                let start = number == cut ? write.range.count / 2 : 0
                for offset in write.range.dropFirst(start) {
                    disk.contents[write.file]?[offset] = 0
                }
            }
            guard let killed = try? JournaledBroker(on: disk, brokerOptions: Self.options) else {
                continue
            }
            let plays = killed.core.statistics(at: killed.now).topics.first { $0.name == .plays }
            let archived = plays?.channels.first { $0.name == .archive }?.depth ?? 0
            // The channel `archive` shows which messages were published.
            let waiting = plays?.channels.first { $0.name == .count }?.depth ?? 0
            #expect(waiting + failed(killed).count >= archived, "write \(cut)")
            if archived == 2 { published += 1 }
            if !failed(killed).isEmpty { moved += 1 }
        }
        // Some of the kills are between the publish and the copy, and others after the copy.
        #expect(published > moved && moved > 0)
    }

    @Test func `stays in its channel until its copy is synced`() throws {
        let broker = try JournaledBroker(brokerOptions: Self.options)
        let consumer = broker.consumer(ready: 1)
        broker.publish("bad")
        #expect(consumer.received() == ["OK", "bad"])
        for _ in 0..<2 {
            consumer.requeue("bad")
            _ = consumer.received()
        }
        func copies(_ broker: JournaledBroker) -> [Int] {
            let plays = broker.core.statistics(at: broker.now).topics.first { $0.name == .plays }
            let count = plays?.channels.first
            return [(count?.depth ?? 0) + (count?.deferredCount ?? 0), failed(broker).count]
        }
        #expect(copies(broker) == [1, 1])
        #expect(
            copies(try JournaledBroker(on: broker.disk.copy(), brokerOptions: Self.options))
                == [1, 1])
        broker.finishSyncs()
        #expect(copies(broker) == [0, 1])
    }

    @Test func `is delivered once more while the failed set cannot be written`() throws {
        let broker = try JournaledBroker(brokerOptions: Self.options)
        let consumer = broker.consumer(ready: 1)
        broker.publish("bad")
        #expect(consumer.received() == ["OK", "bad"])
        consumer.requeue("bad")
        #expect(consumer.received() == ["bad"])
        broker.disk.failing = [.write: MemoryDisk.full]
        consumer.requeue("bad")
        #expect(consumer.received() == [])
        #expect(failed(broker).isEmpty)
        broker.disk.failing = [:]
        broker.retryAfterFailure()
        broker.advanceTime(by: .seconds(11))
        #expect(consumer.received() == ["bad"])
        broker.advanceTime(by: .seconds(5))
        consumer.requeue("bad")
        broker.finishSyncs()
        #expect(consumer.received() == [])
        #expect(failed(broker).map(\.attempts) == [3])
    }

    @Test func `is published again to its channel only`() throws {
        let broker = try broker()
        broker.runIteration {
            for count in [1, 0] {
                // The message is not retried twice.
                let retried = try? broker.core.retryFailed(
                    of: .count, .plays, FailedSelection(limit: 10), at: broker.now)
                #expect(retried?.count == count)
            }
        }
        broker.finishSyncs()
        #expect(failed(broker).isEmpty)
        broker.advanceTime(by: .milliseconds(1))
        #expect(broker.delivered(to: .archive) == ["bad", "good"])
        let restarted = try JournaledBroker(on: broker.disk, brokerOptions: Self.options)
        restarted.advanceTime(by: .milliseconds(1))
        #expect(restarted.delivered().sorted() == ["bad", "good"])
        #expect(failed(restarted).isEmpty)
    }

    @Test func `can be discarded by its ID`() throws {
        let broker = try broker()
        let id = broker.core.failedMessages(
            of: .count, .plays, FailedSelection(limit: 1), at: broker.now
        ).messages[0].id
        broker.runIteration {
            for (id, count) in [(MessageID(1), 0), (id, 1)] {
                let discarded = broker.core.discardFailed(
                    of: .count, .plays, FailedSelection(only: id, limit: 10), at: broker.now)
                #expect(discarded.count == count)
            }
        }
        #expect(failed(broker).isEmpty)
        #expect(failed(try JournaledBroker(on: broker.disk)).isEmpty)
    }

    @Test func `does not fail in channels without a limit`() throws {
        let broker = try JournaledBroker()
        let consumer = broker.consumer(ready: 1)
        broker.publish("bad")
        for _ in 0..<20 {
            #expect(consumer.received().last == "bad")
            consumer.requeue("bad")
        }
        broker.runIteration {
            #expect(broker.core.setMaxAttempts(3, of: .plays, .count, at: broker.now))
            #expect(!broker.core.setMaxAttempts(3, of: .plays, .archive, at: broker.now))
        }
        #expect(consumer.received() == ["bad"])
        consumer.requeue("bad")
        #expect(consumer.received() == [])
        #expect(failed(broker).map(\.attempts) == [21])
    }
}
