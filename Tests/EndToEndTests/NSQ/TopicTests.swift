import Foundation
import TestKit
import TestTraits
import Testing

/// Topics and channels over sockets, with our broker or the nsqd of `NSQD_PROGRAM`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `Topics and channels` {
    @Test func `keep messages for the first channel and copy later ones to every channel`() throws {
        let daemon = try TestDaemon()
        try daemon.publish("a", "b")
        #expect(try daemon.topic()?.depth == 2)
        let first = try daemon.consumer(of: "plays", "first", ready: 10)
        #expect(try first.next(2).map(\.body) == ["a", "b"])
        #expect(try daemon.topic()?.depth == 0)
        let second = try daemon.consumer(of: "plays", "second", ready: 10)
        try daemon.publish("c")
        let copies = try [first.next(), second.next()]
        #expect(copies.map(\.body) == ["c", "c"])
        #expect(copies[0].id == copies[1].id)
        #expect(copies[0].timestampNanoseconds == copies[1].timestampNanoseconds)
        #expect(try second.staysSilent(), "of what came before it")
        #expect(daemon.nsqd.stop())
    }

    @Test func `keep messages in the topic again after the last channel is deleted`() throws {
        let daemon = try TestDaemon()
        try daemon.act("/topic/create")
        try daemon.act("/channel/create", channel: "counts")
        try daemon.publish("a")
        try daemon.act("/channel/delete", channel: "counts")
        try daemon.publish("b")
        #expect(try eventually { try daemon.topic()?.depth == 1 })
        #expect(try daemon.consumer(ready: 2).next().body == "b", "a went with its channel")
        #expect(daemon.nsqd.stop())
    }

    @Test func `that are paused deliver nothing and lose nothing`() throws {
        let daemon = try TestDaemon("--msg-timeout=1s")
        let consumer = try daemon.consumer(ready: 2)
        try daemon.publish("a")
        let message = try consumer.next()
        try daemon.act("/channel/pause", channel: "counts")
        try daemon.publish("b")
        #expect(try eventually { try daemon.channel()?.depth == 2 }, "a has timed out, too")
        // If the machine stalls meanwhile, the message also times out before the pause.
        let attempts = try consumer.settleAndDrain().last?.attempts ?? 1
        #expect(try daemon.channel()?.timeoutCount == attempts)
        #expect(try daemon.channel()?.paused == true)
        #expect(try consumer.staysSilent())
        try daemon.act("/channel/unpause", channel: "counts")
        let both = try consumer.next(2)
        #expect(both.map { "\($0.body) \($0.attempts)" }.sorted() == ["a \(attempts + 1)", "b 1"])
        #expect(both.contains { $0.id == message.id })
        #expect(daemon.nsqd.stop())
    }

    @Test func `hold messages back for all channels while the topic is paused`() throws {
        let daemon = try TestDaemon()
        let consumer = try daemon.consumer(ready: 5)
        try daemon.act("/topic/pause")
        try daemon.publish("a", "b")
        #expect(try consumer.staysSilent())
        let topic = try #require(try daemon.topic())
        #expect(topic.depth == 2 && topic.paused && topic.channels[0].messageCount == 0)
        let late = try daemon.consumer(of: "plays", "late", ready: 5)
        try daemon.act("/topic/unpause")
        for reader in [consumer, late] { #expect(try reader.next(2).map(\.body) == ["a", "b"]) }
        #expect(daemon.nsqd.stop())
    }

    @Test func `that are emptied keep their counters and the messages of other channels`() throws {
        let daemon = try TestDaemon()
        let consumer = try daemon.consumer(ready: 2)
        try daemon.act("/channel/create", channel: "other")
        try daemon.publish("a", "b", "c")
        try consumer.tell("REQ", try consumer.next(), " 60000")
        try consumer.settle()
        try daemon.act("/channel/empty", channel: "counts")
        #expect(
            try eventually { try daemon.channel()?.inFlightCount == 0 }, "and nothing is left")
        let channel = try #require(try daemon.channel())
        #expect(channel.depth == 0 && channel.deferredCount == 0)
        #expect(channel.messageCount == 3 && channel.requeueCount == 1)
        #expect(try daemon.channel("other")?.depth == 3)
        try daemon.act("/topic/pause")
        try daemon.publish("d")
        try daemon.act("/topic/empty")
        #expect(try daemon.topic()?.depth == 0)
        #expect(try daemon.channel("other")?.depth == 3, "which the topic has no more")
        #expect(daemon.nsqd.stop())
    }

    @Test func `that are deleted disconnect consumers and are created again by a producer`() throws
    {
        let daemon = try TestDaemon()
        let consumer = try daemon.consumer(ready: 1)
        let producer = try daemon.client()
        #expect(try producer.ask("PUB plays", [0]) == "OK")
        _ = try consumer.next()
        try daemon.act("/topic/delete")
        #expect(throws: BlockingClient.Closed.self) { try consumer.message(timeout: longestWait) }
        #expect(try daemon.topic() == nil)
        #expect(try producer.ask("PUB plays", [0]) == "OK")
        let topic = try #require(try daemon.topic())
        #expect(topic.messageCount == 1 && topic.channels.isEmpty && topic.depth == 1)
        #expect(daemon.nsqd.stop())
    }

    @Test func `that are ephemeral are deleted with their last consumer or channel`() throws {
        let daemon = try TestDaemon()
        try daemon.act("/topic/create", topic: "brief#ephemeral")
        try daemon.act("/channel/create", topic: "brief#ephemeral", channel: "c#ephemeral")
        #expect(try daemon.topic("brief#ephemeral")?.channels.count == 1, "nobody has come yet")
        var clients = try (0..<2).map { _ in
            try daemon.consumer(of: "brief#ephemeral", "c#ephemeral", ready: 1)
        }
        clients.removeLast()
        #expect(
            try eventually {
                try daemon.channel("c#ephemeral", of: "brief#ephemeral")?.clientCount == 1
            })
        clients.removeLast()
        #expect(try eventually { try daemon.topic("brief#ephemeral") == nil })
        _ = try daemon.consumer(of: "kept#ephemeral", "counts", ready: 1)
        #expect(
            try eventually {
                try daemon.channel("counts", of: "kept#ephemeral")?.clientCount == 0
            }, "a channel that stays keeps its topic")
        try daemon.act("/channel/delete", topic: "kept#ephemeral", channel: "counts")
        #expect(try eventually { try daemon.topic("kept#ephemeral") == nil })
        #expect(daemon.nsqd.stop())
    }

    @Test func `that are ephemeral drop messages beyond the memory queue size`() throws {
        let daemon = try TestDaemon("--mem-queue-size=10")
        try daemon.act("/topic/create")
        try daemon.act("/channel/create", channel: "brief#ephemeral")
        try daemon.act("/channel/create", channel: "counts")
        let producer = try daemon.client()
        for number in 0..<50 {
            #expect(try producer.ask("PUB plays", Array("\(number)".utf8)) == "OK")
        }
        #expect(try eventually { try daemon.channel()?.messageCount == 50 })
        #expect(try eventually { try daemon.channel("brief#ephemeral")?.messageCount == 50 })
        #expect(try daemon.channel("brief#ephemeral")?.depth == 10)
        #expect(try daemon.channel()?.depth == 50)
        #expect(daemon.nsqd.stop())
    }

    /// The number of messages on disk differs: 490 in nsqd, all or none in our broker.
    @Test func `store and deliver more messages than --mem-queue-size`() throws {
        let daemon = try TestDaemon("--mem-queue-size=10")
        try daemon.act("/topic/create")
        try daemon.act("/channel/create", channel: "counts")
        let bodies = (0..<500).map { "\($0)" }
        let producer = try daemon.client()
        #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        #expect(try eventually { try daemon.channel()?.depth == 500 })
        #expect(try daemon.topic()?.messageBytes == bodies.joined().utf8.count)
        let messages = try daemon.consumer(ready: 500).next(500)
        #expect(Set(messages.map(\.body)) == Set(bodies))
        #expect(daemon.nsqd.stop())
    }

    @Test func `keep the order of messages on disk`() throws {
        let daemon = try TestDaemon("--mem-queue-size=0")
        try daemon.act("/topic/create")
        try daemon.act("/channel/create", channel: "counts")
        let bodies = (0..<200).map { "\($0)" }
        let producer = try daemon.client()
        for body in bodies { #expect(try producer.ask("PUB plays", Array(body.utf8)) == "OK") }
        let messages = try daemon.consumer(ready: 500).next(200)
        #expect(messages.map(\.body) == bodies)
        #expect(daemon.nsqd.stop())
    }

    @Test func `are listed in the order of their names`() throws {
        let daemon = try TestDaemon()
        for topic in ["b", "c", "a"] {
            try daemon.act("/topic/create", topic: topic)
            for channel in ["2", "3", "1"] {
                try daemon.act("/channel/create", topic: topic, channel: channel)
            }
        }
        let topics = try daemon.topics()
        #expect(topics.map(\.topicName) == ["a", "b", "c"])
        #expect(topics.allSatisfy { $0.channels.map(\.channelName) == ["1", "2", "3"] })
        #expect(daemon.nsqd.stop())
    }
}
