import Foundation
import TestKit
import Testing

/// Topics and channels, over sockets: with our daemon, or the nsqd that `NSQD_PROGRAM` names.
@Suite(.timeLimit(.minutes(5))) struct `Topics and channels` {
    @Test func `keep messages for the first channel, and give each a copy of what follows`() throws
    {
        let stage = try Stage()
        try stage.publish("a", "b")
        #expect(try stage.topic()?.depth == 2)
        let first = try stage.consumer(of: "plays", "first", ready: 10)
        #expect(try first.next(2).map(\.body) == ["a", "b"])
        #expect(try stage.topic()?.depth == 0)
        let second = try stage.consumer(of: "plays", "second", ready: 10)
        try stage.publish("c")
        let copies = try [first.next(), second.next()]
        #expect(copies.map(\.body) == ["c", "c"])
        #expect(copies[0].id == copies[1].id)
        #expect(copies[0].timestampNanoseconds == copies[1].timestampNanoseconds)
        #expect(try second.staysSilent(), "of what came before it")
        #expect(stage.nsqd.stop())
    }

    @Test func `keep messages again when the last channel is deleted`() throws {
        let stage = try Stage()
        try stage.act("/topic/create")
        try stage.act("/channel/create", channel: "counts")
        try stage.publish("a")
        try stage.act("/channel/delete", channel: "counts")
        try stage.publish("b")
        #expect(try stage.becomes { try stage.topic()?.depth == 1 })
        #expect(try stage.consumer(ready: 2).next().body == "b", "a went with its channel")
        #expect(stage.nsqd.stop())
    }

    @Test func `that are paused give nothing out, and lose nothing`() throws {
        let stage = try Stage("--msg-timeout=1s")
        let consumer = try stage.consumer(ready: 2)
        try stage.publish("a")
        let message = try consumer.next()
        try stage.act("/channel/pause", channel: "counts")
        try stage.publish("b")
        #expect(try stage.becomes { try stage.channel()?.depth == 2 }, "a has timed out, too")
        #expect(try stage.channel()?.timeoutCount == 1)
        #expect(try stage.channel()?.paused == true)
        #expect(try consumer.staysSilent())
        try stage.act("/channel/unpause", channel: "counts")
        let both = try consumer.next(2)
        #expect(both.map { "\($0.body) \($0.attempts)" }.sorted() == ["a 2", "b 1"])
        #expect(both.contains { $0.id == message.id })
        #expect(stage.nsqd.stop())
    }

    @Test func `of which the topic is paused hold messages back for all channels`() throws {
        let stage = try Stage()
        let consumer = try stage.consumer(ready: 5)
        try stage.act("/topic/pause")
        try stage.publish("a", "b")
        #expect(try consumer.staysSilent())
        let topic = try #require(try stage.topic())
        #expect(topic.depth == 2 && topic.paused && topic.channels[0].messageCount == 0)
        let late = try stage.consumer(of: "plays", "late", ready: 5)
        try stage.act("/topic/unpause")
        for reader in [consumer, late] { #expect(try reader.next(2).map(\.body) == ["a", "b"]) }
        #expect(stage.nsqd.stop())
    }

    @Test func `that are emptied keep their counts, and what is another's`() throws {
        let stage = try Stage()
        let consumer = try stage.consumer(ready: 2)
        try stage.act("/channel/create", channel: "other")
        try stage.publish("a", "b", "c")
        try consumer.tell("REQ", try consumer.next(), " 60000")
        try consumer.settle()
        try stage.act("/channel/empty", channel: "counts")
        #expect(
            try stage.becomes { try stage.channel()?.inFlightCount == 0 }, "and nothing is left")
        let channel = try #require(try stage.channel())
        #expect(channel.depth == 0 && channel.deferredCount == 0)
        #expect(channel.messageCount == 3 && channel.requeueCount == 1)
        #expect(try stage.channel("other")?.depth == 3)
        try stage.act("/topic/pause")
        try stage.publish("d")
        try stage.act("/topic/empty")
        #expect(try stage.topic()?.depth == 0)
        #expect(try stage.channel("other")?.depth == 3, "which the topic has no more")
        #expect(stage.nsqd.stop())
    }

    @Test func `that are deleted hang up on consumers, and a producer may make them anew`() throws {
        let stage = try Stage()
        let consumer = try stage.consumer(ready: 1)
        let producer = try stage.client()
        #expect(try producer.ask("PUB plays", [0]) == "OK")
        _ = try consumer.next()
        try stage.act("/topic/delete")
        #expect(throws: BlockingClient.Closed.self) { try consumer.message(timeout: 10) }
        #expect(try stage.topic() == nil)
        #expect(try producer.ask("PUB plays", [0]) == "OK")
        let topic = try #require(try stage.topic())
        #expect(topic.messageCount == 1 && topic.channels.isEmpty && topic.depth == 1)
        #expect(stage.nsqd.stop())
    }

    @Test func `that are ephemeral go with their last consumer, and their last channel`() throws {
        let stage = try Stage()
        try stage.act("/topic/create", topic: "brief#ephemeral")
        try stage.act("/channel/create", topic: "brief#ephemeral", channel: "c#ephemeral")
        #expect(try stage.topic("brief#ephemeral")?.channels.count == 1, "nobody has come yet")
        var clients = try (0..<2).map { _ in
            try stage.consumer(of: "brief#ephemeral", "c#ephemeral", ready: 1)
        }
        clients.removeLast()
        #expect(
            try stage.becomes {
                try stage.channel("c#ephemeral", of: "brief#ephemeral")?.clientCount == 1
            })
        clients.removeLast()
        #expect(try stage.becomes { try stage.topic("brief#ephemeral") == nil })
        _ = try stage.consumer(of: "kept#ephemeral", "counts", ready: 1)
        #expect(
            try stage.becomes {
                try stage.channel("counts", of: "kept#ephemeral")?.clientCount == 0
            }, "a channel that stays keeps its topic")
        try stage.act("/channel/delete", topic: "kept#ephemeral", channel: "counts")
        #expect(try stage.becomes { try stage.topic("kept#ephemeral") == nil })
        #expect(stage.nsqd.stop())
    }

    @Test func `that are ephemeral drop what they have no room for`() throws {
        let stage = try Stage("--mem-queue-size=10")
        try stage.act("/topic/create")
        try stage.act("/channel/create", channel: "brief#ephemeral")
        try stage.act("/channel/create", channel: "counts")
        let producer = try stage.client()
        for number in 0..<50 {
            #expect(try producer.ask("PUB plays", Array("\(number)".utf8)) == "OK")
        }
        #expect(try stage.becomes { try stage.channel()?.messageCount == 50 })
        #expect(try stage.becomes { try stage.channel("brief#ephemeral")?.messageCount == 50 })
        #expect(try stage.channel("brief#ephemeral")?.depth == 10)
        #expect(try stage.channel()?.depth == 50)
        #expect(stage.nsqd.stop())
    }

    /// How much of it is on disk is nsqd's own affair: 490 there, and with ours all of it or none.
    @Test func `hold more than --mem-queue-size, and give all of it back`() throws {
        let stage = try Stage("--mem-queue-size=10")
        try stage.act("/topic/create")
        try stage.act("/channel/create", channel: "counts")
        let bodies = (0..<500).map { "\($0)" }
        let producer = try stage.client()
        #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        #expect(try stage.becomes { try stage.channel()?.depth == 500 })
        #expect(try stage.topic()?.messageBytes == bodies.joined().utf8.count)
        let messages = try stage.consumer(ready: 500).next(500)
        #expect(Set(messages.map(\.body)) == Set(bodies))
        #expect(stage.nsqd.stop())
    }

    @Test func `keep the order of what is on disk`() throws {
        let stage = try Stage("--mem-queue-size=0")
        try stage.act("/topic/create")
        try stage.act("/channel/create", channel: "counts")
        let bodies = (0..<200).map { "\($0)" }
        let producer = try stage.client()
        for body in bodies { #expect(try producer.ask("PUB plays", Array(body.utf8)) == "OK") }
        let messages = try stage.consumer(ready: 500).next(200)
        #expect(messages.map(\.body) == bodies)
        #expect(stage.nsqd.stop())
    }

    @Test func `are listed by name`() throws {
        let stage = try Stage()
        for topic in ["b", "c", "a"] {
            try stage.act("/topic/create", topic: topic)
            for channel in ["2", "3", "1"] {
                try stage.act("/channel/create", topic: topic, channel: channel)
            }
        }
        let topics = try stage.topics()
        #expect(topics.map(\.topicName) == ["a", "b", "c"])
        #expect(topics.allSatisfy { $0.channels.map(\.channelName) == ["1", "2", "3"] })
        #expect(stage.nsqd.stop())
    }
}
