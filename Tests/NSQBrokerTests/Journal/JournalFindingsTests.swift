import BrokerCore
import NSQWire
import Testing

@testable import NSQBroker

/// What the simulation has found, each by its name; more of it stands where it belongs.
@Suite struct `A journal, as found by the simulation,` {
    private let filler = String(repeating: "x", count: 300)

    /// Otherwise a channel that came into being behind a message would have it alone.
    @Test func `keeps the older file of two if the younger one's topics are damaged`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        for topic in [TopicName.plays, .likes] { _ = first.consumer(of: .count, topic, ready: 0) }
        for number in 1...2 { first.publish("\(number) \(filler)") }
        first.publish("kept \(filler)", to: .likes)
        _ = first.consumer(of: .archive, .likes, ready: 0)
        #expect(disk.contents.count == 2)
        #expect(try disk.places(of: .channelCreated, in: 2).count == 1)
        let topics = try #require(try disk.places(of: .topics, in: 2).first)
        disk.contents[2]![topics.lowerBound + JournalFormat.recordHeaderBytes] ^= 1

        let broker = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        #expect(broker.report.damages.map(\.range) == [topics])
        let consumer = broker.consumer()
        consumer.finish(consumer.heard().dropFirst())
        broker.pass(.seconds(11))
        broker.tryAgain()
        broker.finishSyncs()
        let next = try JournaledBroker(on: disk)
        #expect(next.delivered(of: .plays) == [])
        #expect(next.delivered(to: .count, of: .likes) == ["kept \(filler)"])
        #expect(next.delivered(to: .archive, of: .likes) == [])
    }

    @Test func `has every channel pass over a message that is damaged`() throws {
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

    @Test func `has a channel that comes later pass over it as well`() throws {
        let disk = MemoryDisk()
        try JournaledBroker(on: disk).publish("one", "two", "three")
        try disk.damage("two")
        #expect(try JournaledBroker(on: disk).delivered() == ["one", "three"])
    }

    @Test func `loses no deferred message beside one that is damaged`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk)
        let publisher = first.client()
        for body in ["one", "two", "three"] {
            var bytes: [UInt8] = []
            Command.deferredPublish(.plays, afterMilliseconds: 10_000)
                .append(body: Array(body.utf8), to: &bytes)
            publisher.say(bytes)
        }
        #expect(publisher.heard() == ["OK", "OK", "OK"])
        try disk.damage("two")
        let broker = try JournaledBroker(on: disk)
        let consumer = broker.consumer()
        #expect(consumer.heard() == ["OK"])
        broker.pass(.seconds(11))
        #expect(consumer.heard() == ["one", "three"])
    }

    /// The younger part of a segment then stands before the older one.
    @Test func `delivers both parts of a segment of which one was moved`() throws {
        let broker = try JournaledBroker {
            $0.maxBytesPerFile = 1_000
            $0.syncEvery = .max
        }
        let consumer = broker.consumer()
        broker.publish("kept")
        for number in 1...4 { broker.publish("\(number) \(filler)") }
        broker.publish("kept as well")
        for number in 5...12 { broker.publish("\(number) \(filler)") }
        consumer.finish(consumer.heard().filter { $0.hasSuffix("x") })
        for _ in 1...3 {
            broker.pass(.seconds(6))
            broker.tryAgain()
            broker.finishSyncs()
            let next = try JournaledBroker(on: broker.disk.copy())
            #expect(next.report.damages == [])
            #expect(next.delivered() == ["kept", "kept as well"])
        }
        #expect(broker.disk.contents[1] == nil)
    }

    /// The channel has it, and the topic that is paused for all it knows holds it as well.
    @Test(arguments: [false, true])
    func `delivers a deferred message once, though the note of a pause's end is lost`(
        isFinished: Bool
    ) throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk)
        let consumer = first.consumer()
        first.turn { _ = first.core.pauseTopic(.plays, true, at: first.now) }
        var bytes: [UInt8] = []
        Command.deferredPublish(.plays, afterMilliseconds: 1_000)
            .append(body: Array("one".utf8), to: &bytes)
        first.client().say(bytes)
        first.pass(.seconds(2))
        #expect(consumer.heard() == ["OK"])
        first.turn { _ = first.core.pauseTopic(.plays, false, at: first.now) }
        first.pass(.seconds(1))
        #expect(consumer.heard() == ["one"])
        if isFinished { consumer.finish(["one"]) }
        let pauses = try disk.places(of: .topicPaused, in: 1)
        #expect(pauses.count == 2)
        disk.contents[1]![pauses[1].lowerBound] ^= 1

        let broker = try JournaledBroker(on: disk)
        let other = broker.consumer()
        #expect(other.heard() == (isFinished ? ["OK"] : ["OK", "one"]))
        broker.turn { _ = broker.core.pauseTopic(.plays, false, at: broker.now) }
        broker.pass(.seconds(1))
        #expect(other.heard() == [])
    }

    /// The file begins with topics from before the batch that it is begun for.
    @Test func `hands over to a channel that goes in the batch that a file is begun for`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        _ = first.consumer(ready: 0)
        first.turn { _ = first.core.pauseTopic(.plays, true, at: first.now) }
        first.publish("1 \(filler)")
        disk.failing = [.write: MemoryDisk.broken]
        first.turn { _ = first.core.pauseTopic(.plays, false, at: first.now) }
        first.turn { _ = first.core.deleteChannel(.count, of: .plays, at: first.now) }
        disk.failing = [:]
        first.turn {
            for number in 1...20 {
                first.core.createTopic(TopicName("topic_\(number)")!, at: first.now)
            }
        }
        #expect(disk.contents.count == 2)
        #expect(try disk.places(of: .channelDeleted, in: 2).count == 1)
        let next = try JournaledBroker(on: disk)
        #expect(next.delivered() == [])
    }

    /// Or its first messages would be taken for some that were handed over long ago.
    @Test func `tells a topic from the one before it, though the note of its end is lost`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk)
        let consumer = first.consumer()
        first.publish("1", "2", "3")
        #expect(consumer.heard().count == 4)
        first.pass(.milliseconds(1))
        first.turn { _ = first.core.deleteTopic(.plays, at: first.now) }
        _ = first.consumer(ready: 0)
        first.publish("4", "5")
        let note = try #require(try disk.places(of: .topicDeleted, in: 1).last)
        disk.contents[1]![note.lowerBound] ^= 1
        let next = try JournaledBroker(on: disk)
        #expect(next.delivered() == ["4", "5"])
    }

    /// It may be there all the same, and says what there was when it was begun.
    @Test func `notes nothing in an older file once a younger one was begun`() throws {
        let disk = MemoryDisk()
        let first = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        _ = first.consumer(ready: 0)
        first.publish("1 \(filler)")
        disk.failing = [.write: MemoryDisk.broken, .remove: MemoryDisk.broken]
        disk.bytesBeforeFailure = .max
        first.client().publish(filler + filler)
        #expect(disk.contents.count == 2)
        disk.failing = [:]
        first.turn { _ = first.core.pauseChannel(.count, of: .plays, true, at: first.now) }
        let next = try JournaledBroker(on: disk)
        let channels = next.core.statistics(at: next.now).topics.flatMap(\.channels)
        #expect(channels.map(\.isPaused) == [true])
    }

    /// The segment that is written to stays so, though older ones come behind it in the journal.
    @Test func `gives what is published behind a move to a channel that came later`() throws {
        let disk = MemoryDisk()
        try JournaledBroker(on: disk).publish("old")
        let broker = try JournaledBroker(on: disk) { $0.maxBytesPerFile = 1_000 }
        let consumer = broker.consumer(of: .count, .likes)
        for number in 1...8 { broker.publish("\(number) \(filler)", to: .likes) }
        consumer.finish(consumer.heard().dropFirst())
        broker.publish("new")
        while disk.contents[1] != nil, broker.now.monotonic < Moment.start.monotonic + 30 << 30 {
            broker.pass(.seconds(6))
            broker.tryAgain()
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
    /// Changes a bit of a message.
    fileprivate func damage(_ body: String) throws {
        for (file, bytes) in contents {
            guard let place = bytes.firstRange(of: Array(body.utf8)) else { continue }
            contents[file]![place.lowerBound] ^= 1
            return
        }
        Issue.record("\(body) is not in the journal")
    }
}
