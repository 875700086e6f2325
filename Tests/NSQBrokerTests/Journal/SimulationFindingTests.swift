import BrokerCore
import NSQWire
import TallyBasics
import TestTraits
import Testing

@testable import NSQBroker

/// Tests of bugs that the simulation has found. Other suites contain more of them.
@Suite(.blocking) struct `A journal after a simulated failure` {
    private let filler = String(repeating: "x", count: 300)

    /// Without the topics of the older file, a message would be dispatched only to a channel that was
    /// created after it.
    @Test func `keeps an older file if the newer file's topics are damaged`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        for topic in [TopicName.plays, .likes] { _ = first.consumer(of: .count, topic, ready: 0) }
        for number in 1...2 { first.publish("\(number) \(filler)") }
        first.publish("kept \(filler)", to: .likes)
        _ = first.consumer(of: .archive, .likes, ready: 0)
        #expect(disk.contents.count == 2)
        #expect(try disk.recordRanges(of: .channelCreated, in: 2).count == 1)
        let topics = try #require(try disk.recordRanges(of: .topics, in: 2).first)
        disk.contents[2]![topics.lowerBound + JournalFormat.recordHeaderBytes] ^= 1

        let broker = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        #expect(broker.report.damages.map(\.range) == [topics])
        let consumer = broker.consumer()
        consumer.finish(consumer.received().dropFirst())
        broker.advanceTime(by: .seconds(11))
        broker.retryAfterFailure()
        broker.finishSyncs()
        let next = try JournaledBroker(on: disk)
        #expect(next.delivered(of: .plays) == [])
        #expect(next.delivered(to: .count, of: .likes) == ["kept \(filler)"])
        #expect(next.delivered(to: .archive, of: .likes) == [])
    }

    @Test func `lets every channel skip a damaged message`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk)
        for channel in [ChannelName.count, .archive] { _ = first.consumer(of: channel, ready: 0) }
        first.publish("one", "two", "three")
        try disk.damage("two")
        let broker = try JournaledBroker(on: disk)
        #expect(broker.delivered(to: .count) == ["one", "three"])
        broker.publish("four")
        #expect(broker.delivered(to: .archive) == ["one", "three", "four"])
        #expect(broker.delivered(to: ChannelName("new")!) == [])
    }

    @Test func `lets a later channel skip a damaged message`() throws {
        let disk = MemoryDisk()
        try JournaledBroker(on: disk).publish("one", "two", "three")
        try disk.damage("two")
        #expect(try JournaledBroker(on: disk).delivered() == ["one", "three"])
    }

    @Test func `keeps deferred messages next to a damaged one`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk)
        let publisher = first.client()
        for body in ["one", "two", "three"] {
            var bytes: [UInt8] = []
            Command.deferredPublish(.plays, afterMilliseconds: 10_000)
                .append(body: Array(body.utf8), to: &bytes)
            publisher.send(bytes)
        }
        #expect(publisher.received() == ["OK", "OK", "OK"])
        try disk.damage("two")
        let broker = try JournaledBroker(on: disk)
        let consumer = broker.consumer()
        #expect(consumer.received() == ["OK"])
        broker.advanceTime(by: .seconds(11))
        #expect(consumer.received() == ["one", "three"])
    }

    /// After a partial relocation, the newer part of the segment precedes the older part.
    @Test func `delivers both parts of a partly relocated segment`() throws {
        let broker = try JournaledBroker {
            $0.maxBytesPerFile = 1_000
            $0.syncEvery = .max
        }
        let consumer = broker.consumer()
        broker.publish("kept")
        for number in 1...4 { broker.publish("\(number) \(filler)") }
        broker.publish("kept as well")
        for number in 5...12 { broker.publish("\(number) \(filler)") }
        consumer.finish(consumer.received().filter { $0.hasSuffix("x") })
        for _ in 1...3 {
            broker.advanceTime(by: .seconds(6))
            broker.retryAfterFailure()
            broker.finishSyncs()
            let next = try JournaledBroker(on: broker.disk.copy())
            #expect(next.report.damages == [])
            #expect(next.delivered() == ["kept", "kept as well"])
        }
        #expect(broker.disk.contents[1] == nil)
    }

    /// The older records of the finished message are removed before the relocated message.
    @Test func `delivers no finished message whose relocation was written in part`() throws {
        let disk = MemoryDisk()
        let configure: (inout Journal.Options) -> Void = {
            $0.maxBytesPerFile = 1_000
            $0.syncEvery = .max
        }
        let first = try JournaledBroker(on: disk, configure)
        let consumers = [ChannelName.count, .archive].map { first.consumer(of: $0) }
        first.publish("kept")
        for number in 1...8 { first.publish("\(number) \(filler)") }
        consumers[0].finish(consumers[0].received().filter { $0.hasSuffix("x") })
        consumers[1].finish(consumers[1].received().dropFirst())
        // Another message keeps the file of the relocated one.
        first.publish("other \(filler)", to: .likes)
        first.advanceTime(by: .seconds(6))
        let last = try #require(disk.contents.keys.max())
        let finished = try #require(try disk.recordRanges(of: .finished, in: last).last)
        let relocated = try #require(try disk.recordRanges(of: .relocated, in: last).last)
        #expect(relocated.upperBound <= finished.lowerBound)
        disk.contents[last]!.removeSubrange(finished.lowerBound...)

        let second = try JournaledBroker(on: disk, configure)
        let consumer = second.consumer()
        #expect(consumer.received() == ["OK", "kept"])
        consumer.finish(["kept"])
        for _ in 1...2 {
            second.retryAfterFailure()
            second.finishSyncs()
            for number in 1...3 { second.publish("\(number) \(filler)", to: .likes) }
        }
        #expect(disk.contents[last - 1] == nil && disk.contents[last] != nil)
        let third = try JournaledBroker(on: disk, configure)
        #expect(third.delivered(to: .count) == [])
        #expect(third.delivered(to: .archive) == [])
    }

    /// The channel has the message already. But recovery considers the topic paused, so it finds the
    /// message in the topic, too.
    @Test(arguments: [false, true])
    func `delivers a deferred message once if the record of an unpause is lost`(
        isFinished: Bool
    ) throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk)
        let consumer = first.consumer()
        first.runIteration { _ = first.core.pauseTopic(.plays, true, at: first.now) }
        var bytes: [UInt8] = []
        Command.deferredPublish(.plays, afterMilliseconds: 1_000)
            .append(body: Array("one".utf8), to: &bytes)
        first.client().send(bytes)
        first.advanceTime(by: .seconds(2))
        #expect(consumer.received() == ["OK"])
        first.runIteration { _ = first.core.pauseTopic(.plays, false, at: first.now) }
        first.advanceTime(by: .seconds(1))
        #expect(consumer.received() == ["one"])
        if isFinished { consumer.finish(["one"]) }
        let pauses = try disk.recordRanges(of: .topicPaused, in: 1)
        #expect(pauses.count == 2)
        disk.contents[1]![pauses[1].lowerBound] ^= 1

        let broker = try JournaledBroker(on: disk)
        let other = broker.consumer()
        #expect(other.received() == (isFinished ? ["OK"] : ["OK", "one"]))
        broker.runIteration { _ = broker.core.pauseTopic(.plays, false, at: broker.now) }
        broker.advanceTime(by: .seconds(1))
        #expect(other.received() == [])
    }

    /// The new file starts with the topics as they were before its first batch.
    @Test func `dispatches to a channel that is deleted in the first batch of a file`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        _ = first.consumer(ready: 0)
        first.runIteration { _ = first.core.pauseTopic(.plays, true, at: first.now) }
        first.publish("1 \(filler)")
        disk.failing = [.write: MemoryDisk.broken]
        first.runIteration { _ = first.core.pauseTopic(.plays, false, at: first.now) }
        first.runIteration { _ = first.core.deleteChannel(.count, of: .plays, at: first.now) }
        disk.failing = [:]
        first.runIteration {
            for number in 1...20 {
                first.core.createTopic(TopicName("topic_\(number)")!, at: first.now)
            }
        }
        #expect(disk.contents.count == 2)
        #expect(try disk.recordRanges(of: .channelDeleted, in: 2).count == 1)
        let next = try JournaledBroker(on: disk)
        #expect(next.delivered() == [])
    }

    /// Otherwise the first messages of the new topic would count as dispatched by the old one.
    @Test
    func `distinguishes a recreated topic from the old one if the record of the deletion is lost`()
        throws
    {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk)
        let consumer = first.consumer()
        first.publish("1", "2", "3")
        #expect(consumer.received().count == 4)
        first.advanceTime(by: .milliseconds(1))
        first.runIteration { _ = first.core.deleteTopic(.plays, at: first.now) }
        _ = first.consumer(ready: 0)
        first.publish("4", "5")
        let note = try #require(try disk.recordRanges(of: .topicDeleted, in: 1).last)
        disk.contents[1]![note.lowerBound] ^= 1
        let next = try JournaledBroker(on: disk)
        #expect(next.delivered() == ["4", "5"])
    }

    /// The new file may exist although its creation failed. It then contains the topics of that time.
    @Test func `appends nothing to an older file once a newer one was begun`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        _ = first.consumer(ready: 0)
        first.publish("1 \(filler)")
        disk.failing = [.write: MemoryDisk.broken, .remove: MemoryDisk.broken]
        disk.bytesBeforeFailure = .max
        first.client().publish(filler + filler)
        #expect(disk.contents.count == 2)
        disk.failing = [:]
        first.runIteration { _ = first.core.pauseChannel(.count, of: .plays, true, at: first.now) }
        let next = try JournaledBroker(on: disk)
        let channels = next.core.statistics(at: next.now).topics.flatMap(\.channels)
        #expect(channels.map(\.isPaused) == [true])
    }

    /// The current segment stays current, although older segments follow it in the journal.
    @Test func `delivers messages published after a relocation to a later channel`() throws {
        let disk = MemoryDisk()
        try JournaledBroker(on: disk).publish("old")
        let broker = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        let consumer = broker.consumer(of: .count, .likes)
        for number in 1...8 { broker.publish("\(number) \(filler)", to: .likes) }
        consumer.finish(consumer.received().dropFirst())
        broker.publish("new")
        while disk.contents[1] != nil, broker.now.monotonic < Timestamp.start.monotonic + 30 << 30 {
            broker.advanceTime(by: .seconds(6))
            broker.retryAfterFailure()
            broker.finishSyncs()
        }
        #expect(disk.contents[1] == nil)
        _ = broker.consumer(of: .archive, ready: 0)
        _ = broker.consumer(of: .count, ready: 0)
        broker.publish("last")
        let next = try JournaledBroker(on: disk)
        #expect(next.delivered(to: .archive) == ["old", "new", "last"])
        #expect(next.delivered(to: .count) == ["last"])
    }
}

extension MemoryDisk {
    /// Flips a bit of a message.
    fileprivate func damage(_ body: String) throws {
        for (file, bytes) in contents {
            guard let place = bytes.firstRange(of: Array(body.utf8)) else { continue }
            contents[file]![place.lowerBound] ^= 1
            return
        }
        Issue.record("\(body) is not in the journal")
    }
}
