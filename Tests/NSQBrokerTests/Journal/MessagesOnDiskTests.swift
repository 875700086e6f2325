import BrokerCore
import NSQWire
import TallyBasics
import TestTraits
import Testing

@testable import NSQBroker

/// Reading and changing messages that are in the message log.
@Suite(.blocking) struct `Messages on disk` {
    /// A broker after a restart, whose channel has this number of messages of 1000 bytes on disk.
    private func broker(withMessages count: Int) throws -> JournaledBroker {
        let broker = try JournaledBroker()
        _ = broker.consumer(ready: 0)
        let publisher = broker.client()
        for start in stride(from: 0, to: count, by: 1000) {
            let bodies = (start..<start + 1000).map { Self.body($0) }
            var bytes: [UInt8] = []
            Command.appendMultiPublish(.plays, bodies, to: &bytes)
            publisher.send(bytes)
        }
        let restarted = try JournaledBroker(on: broker.disk.copy())
        #expect(restarted.core.memoryBytes.used == 0)
        return restarted
    }

    private static func body(_ number: Int) -> [UInt8] {
        let text = "message \(number) "
        return Array((text + String(repeating: "x", count: 1000 - text.utf8.count)).utf8)
    }

    private func page(
        _ broker: JournaledBroker, after: MessageID? = nil,
        _ configure: (inout MessageFilter) -> Void = { _ in }
    ) throws -> MessagePage {
        var filter = MessageFilter()
        configure(&filter)
        var page = MessagePage(after: after)
        while try !broker.core.addPortion(
            of: .plays, .count, filter, limit: 100, bodyBytes: 20, to: &page, at: broker.now)
        {}
        return page
    }

    @Test func `are read without loading the queue, and a page reads as much of any depth`() throws
    {
        var readBytes: [Int] = []
        for count in [4000, 16_000] {
            let broker = try broker(withMessages: count)
            let before = broker.disk.readByteCount
            let first = try page(broker)
            #expect(first.messages.count == 100)
            let middle = try #require(first.messages.last).id.number! + 200 << 16
            _ = try page(broker, after: MessageID(middle))
            readBytes.append(broker.disk.readByteCount - before)
            #expect(broker.core.memoryBytes.used == 0)
            #expect(broker.core.statistics(at: broker.now).topics[0].channels[0].depth == count)
        }
        // A segment has 2 MiB, and the journal is read in blocks of 1 MiB.
        #expect(readBytes.allSatisfy { $0 < 12 << 20 })
        #expect(readBytes[1] < readBytes[0] * 2)
    }

    @Test func `are searched in portions of at most one segment`() throws {
        let broker = try broker(withMessages: 12_000)
        var filter = MessageFilter()
        filter.text = Array("message 11999 ".utf8)
        var page = MessagePage()
        var portionCount = 0
        var isOver = false
        while !isOver {
            let before = broker.disk.readByteCount
            isOver = try broker.core.addPortion(
                of: .plays, .count, filter, limit: 100, bodyBytes: 20, to: &page, at: broker.now)
            #expect(broker.disk.readByteCount - before <= 4 << 20)
            #expect(broker.core.memoryBytes.used == 0)
            portionCount += 1
        }
        #expect(page.messages.count == 1)
        #expect(portionCount >= 6)
    }

    @Test func `are searched while the memory is full`() throws {
        let small = try self.broker(withMessages: 2000)
        var options = BrokerOptions()
        options.maxMemoryBytes = 1
        let broker = try JournaledBroker(on: small.disk.copy(), brokerOptions: options)
        let found = try page(broker) { $0.text = Array("message 1999 ".utf8) }
        #expect(found.messages.count == 1)
        #expect(broker.core.memoryBytes.used == 0)
    }

    @Test func `that cannot be read are reported, and can be read later`() throws {
        let broker = try broker(withMessages: 1000)
        broker.disk.failing[.read] = MemoryDisk.broken
        #expect {
            _ = try page(broker)
        } throws: { error in
            if case .unreadable = error as? InspectionError { true } else { false }
        }
        broker.disk.failing = [:]
        #expect(try page(broker).messages.count == 100)
    }

    // MARK: Changes

    private func perform(
        _ action: MessageAction, on body: String, at broker: JournaledBroker
    ) throws {
        let message = try #require(try page(broker).messages.first { $0.text == body })
        try broker.core.perform(
            action, on: message.id, attempts: message.attempts, of: .plays, .count, at: broker.now
        ) { _ in }
        broker.runIteration()
    }

    private func restarted(_ broker: JournaledBroker) throws -> JournaledBroker {
        try JournaledBroker(on: broker.disk.copy(), at: broker.now)
    }

    @Test func `stay deleted, deferred and requeued after a restart, without attempts`() throws {
        let broker = try JournaledBroker()
        _ = broker.consumer(ready: 0)
        broker.publish("one", "two", "three", "four")
        try perform(.delete, on: "one", at: broker)
        try perform(.defer(.seconds(30)), on: "two", at: broker)
        try perform(.defer(.seconds(30)), on: "three", at: broker)
        try perform(.requeue, on: "three", at: broker)
        let later = try restarted(broker)
        let messages = try page(later).messages
        #expect(messages.map(\.text) == ["two", "three", "four"])
        #expect(messages.map(\.attempts) == [0, 0, 0])
        #expect(
            messages[0].state
                == .deferred(timeLeft: .seconds(30), due: later.now.wall + 30_000_000_000))
        #expect(Set(later.delivered()) == ["three", "four"])
        later.advanceTime(by: .seconds(30))
        #expect(try page(later).messages.map(\.attempts) == [1, 1, 1])
    }

    @Test func `in flight stay deleted after a restart`() throws {
        let broker = try JournaledBroker()
        let consumer = broker.consumer()
        broker.publish("one", "two")
        #expect(consumer.received() == ["OK", "one", "two"])
        try perform(.delete, on: "one", at: broker)
        #expect(try restarted(broker).delivered() == ["two"])
    }

    @Test func `that move are in at least one topic at every point of a kill`() throws {
        // A small file is recovered quickly.
        let broker = try JournaledBroker { $0.maxBytesPerFile = 8192 }
        _ = broker.consumer(ready: 0)
        _ = broker.consumer(of: .archive, .likes, ready: 0)
        broker.publish("one", "two")
        let length = broker.disk.contents[1]!.count
        let writesBefore = broker.disk.writes.count
        let message = try #require(try page(broker).messages.first)
        try broker.core.perform(
            .move(.likes), on: message.id, attempts: 0, of: .plays, .count, at: broker.now
        ) { _ in }
        broker.runIteration()
        #expect(try page(broker).messages.map(\.text) == ["one", "two"])
        broker.finishSyncs()
        #expect(try page(broker).messages.map(\.text) == ["two"])
        #expect(try restarted(broker).delivered(to: .archive, of: .likes) == ["one"])
        // The publish is written before the end of the message in the channel.
        #expect(broker.disk.writes.count == writesBefore + 2)
        var counts: Set<Int> = []
        let end = broker.disk.writes.map(\.range.upperBound).max()!
        let start = broker.disk.writes[writesBefore].range.lowerBound
        // The records are aligned to more than 5 bytes.
        for kept in Array(stride(from: start, to: end, by: 5)) + [end] {
            let killed = broker.disk.copy()
            // The bytes from `kept` on were not written.
            killed.contents[1]!.replaceSubrange(
                kept..<max(kept, length), with: repeatElement(0, count: max(0, length - kept)))
            let later = try JournaledBroker(on: killed, at: broker.now) {
                $0.maxBytesPerFile = 8192
            }
            let copies =
                later.delivered().filter { $0 == "one" }.count
                + later.delivered(to: .archive, of: .likes).filter { $0 == "one" }.count
            #expect((1...2).contains(copies), "\(kept) of \(end) bytes")
            counts.insert(copies)
        }
        #expect(counts == [1, 2])
    }

    @Test func `that move stay if the publish cannot be written`() throws {
        let broker = try JournaledBroker()
        _ = broker.consumer(ready: 0)
        broker.publish("one")
        let message = try page(broker).messages[0]
        broker.disk.failing[.write] = MemoryDisk.broken
        var failure: MessageLogError?
        try broker.core.perform(
            .move(.likes), on: message.id, attempts: 0, of: .plays, .count, at: broker.now
        ) { failure = $0 }
        broker.runIteration()
        #expect(failure != nil)
        #expect(try page(broker).messages.map(\.text) == ["one"])
        broker.disk.failing = [:]
        broker.retryAfterFailure()
        #expect(try restarted(broker).delivered() == ["one"])
    }

    @Test(arguments: [false, true])
    func `that move are finished after the sync`(respondsAfterSync: Bool) throws {
        let broker = try JournaledBroker { $0.respondsAfterSync = respondsAfterSync }
        _ = broker.consumer(ready: 0)
        let publisher = broker.client()
        publisher.publish("one")
        broker.finishSyncs()
        let message = try page(broker).messages[0]
        var isDone = false
        try broker.core.perform(
            .move(.likes), on: message.id, attempts: 0, of: .plays, .count, at: broker.now
        ) { isDone = $0 == nil }
        broker.runIteration()
        #expect(try page(broker).messages.count == 1)
        // A second change of the message is refused meanwhile.
        #expect(throws: InspectionError.messageNotFound) {
            try broker.core.perform(
                .delete, on: message.id, attempts: 0, of: .plays, .count, at: broker.now
            ) { _ in }
        }
        broker.finishSyncs()
        #expect(try page(broker).messages.count == 0)
        broker.finishSyncs()
        #expect(isDone)
    }

    @Test func `are moved by a bulk operation, and none is lost after a restart`() throws {
        let broker = try broker(withMessages: 4000)
        let operation = try broker.core.startBulkOperation(
            .change(.move(.likes)), MessageFilter(), of: .plays, .count, at: broker.now)
        broker.runIteration()
        broker.advanceTime(by: .milliseconds(3))
        #expect(operation.state == .running)
        let killed = try restarted(broker)
        let left = killed.core.backlogs(at: killed.now)
        let counts = left.map { ($0.depth + $0.channels.reduce(0) { $0 + $1.depth }) }
        // Messages whose copy is not synced yet are in both topics.
        #expect((4000..<8000).contains(counts.reduce(0, +)))
        for _ in 0..<10_000 where operation.state == .running {
            broker.finishSyncs()
            broker.advanceTime(by: .milliseconds(1))
        }
        #expect(operation.state == .finished)
        #expect(operation.changedCount == 4000)
        #expect(try page(broker).messages.isEmpty)
        let later = try restarted(broker)
        #expect(later.core.backlogs(at: later.now).map(\.depth) == [4000, 0])
    }
}

extension UnfinishedMessage {
    fileprivate var text: String { String(decoding: body, as: UTF8.self) }
}
