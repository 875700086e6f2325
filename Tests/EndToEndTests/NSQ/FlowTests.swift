import Foundation
import TestKit
import Testing

/// NSQ.md's rules for what a consumer is sent, over sockets: with our daemon, or the nsqd that
/// `NSQD_PROGRAM` names. `Fixtures/wire` has what can be said as a conversation.
@Suite(.timeLimit(.minutes(5))) struct `What a consumer is sent` {
    @Test func `is what it has said to be ready for, and one more for each that it settles`() throws
    {
        let stage = try Stage()
        try stage.publish("a", "b", "c", "d", "e")
        let consumer = try stage.consumer(ready: 0)
        #expect(try consumer.staysSilent())
        try consumer.send(Array("RDY 2\n".utf8))
        let first = try consumer.next(2)
        #expect(try consumer.staysSilent())
        try consumer.tell("FIN", first[0])
        _ = try consumer.next()
        try consumer.tell("REQ", first[1], " 60000")
        _ = try consumer.next()
        #expect(try consumer.staysSilent())
        #expect(stage.nsqd.stop())
    }

    @Test func `frees a place when its channel is emptied`() throws {
        let stage = try Stage()
        try stage.publish("old")
        let consumer = try stage.consumer(ready: 1)
        let old = try consumer.next()
        try stage.act("/channel/empty", channel: "counts")
        try stage.publish("new")
        #expect(try consumer.next().body == "new")
        let complaint = try consumer.complaint("FIN", old)
        #expect(complaint.hasPrefix("E_FIN_FAILED FIN ") && complaint.hasSuffix("ID not in flight"))
        #expect(stage.nsqd.stop())
    }

    @Test func `is shared by those of a channel, and nobody gets what another has`() throws {
        let stage = try Stage()
        let bodies = (0..<100).map { "\($0)" }
        let consumers = try (0..<3).map { _ in try stage.consumer(ready: 100) }
        let producer = try stage.client()
        for _ in 0..<2 {
            #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        }
        var ids: [[UInt8]] = []
        for consumer in consumers {
            while let message = try consumer.message(timeout: 0.6) { ids.append(message.id) }
        }
        #expect(ids.count == 200)
        #expect(Set(ids).count == 200)
        #expect(stage.nsqd.stop())
    }

    @Test func `is about its share of the messages, if it asks for a sample`() throws {
        let stage = try Stage()
        let consumer = try stage.consumer(ready: 2500, #""sample_rate":30"#)
        let producer = try stage.client()
        let bodies = (0..<1000).map { "\($0)" }
        #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        var count = 0
        while try consumer.message(timeout: 0.6) != nil { count += 1 }
        #expect((200...400).contains(count), "\(count) of 1000 at 30 %")
        let channel = try #require(try stage.channel())
        #expect(channel.inFlightCount == count, "the others are gone")
        #expect(channel.depth == 0 && channel.messageCount == 1000)
        #expect(stage.nsqd.stop())
    }

    @Test func `is counted in two bytes, also beyond one of them`() throws {
        let stage = try Stage()
        try stage.publish("play")
        let consumer = try stage.consumer(ready: 1)
        let first = try consumer.next()
        var last = first
        for _ in 0..<300 {
            try consumer.tell("REQ", last, " 0")
            last = try consumer.next()
        }
        #expect(last.attempts == 301)
        #expect(last.id == first.id && last.body == "play")
        #expect(last.timestampNanoseconds == first.timestampNanoseconds)
        #expect(stage.nsqd.stop())
    }

    @Test func `has identities that grow within a topic, and the time of publishing`() throws {
        let stage = try Stage()
        let before = Int64(Date().timeIntervalSince1970 * 1e9)
        let producer = try stage.client()
        let bodies = (0..<200).map { "\($0)" }
        #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        let messages = try stage.consumer(ready: 500).next(200)
        let ids = messages.map { String(decoding: $0.id, as: UTF8.self) }
        #expect(ids == ids.sorted() && Set(ids).count == 200)
        #expect(ids.allSatisfy { $0.wholeMatch(of: /[0-9a-f]{16}/) != nil })
        let after = Int64(Date().timeIntervalSince1970 * 1e9)
        // The clock's last digits are lost in a double.
        let range = before - 1_000_000...after + 1_000_000
        #expect(messages.allSatisfy { range.contains($0.timestampNanoseconds) })
        #expect(messages.map(\.body) == bodies)
        #expect(stage.nsqd.stop())
    }

    /// nsqd sends no more then, but hangs up only when nothing more is said, either.
    @Test func `may wait for its reader as long as from one heartbeat to the next`() throws {
        let stage = try Stage("--msg-timeout=1s")
        let deaf = try stage.consumer(ready: 2500, #""heartbeat_interval":1000"#)
        let producer = try stage.client()
        let body = String(repeating: "x", count: 1 << 20)
        let start = Date()
        for _ in 0..<6 {
            let batch = BlockingClient.batch(Array(repeating: body, count: 4))
            #expect(try producer.ask("MPUB plays", batch) == "OK")
        }
        let isGone = try stage.becomes(within: 20) {
            if !RunningNSQD.isForeign { try? deaf.send(Array("NOP\n".utf8)) }
            return try stage.channel()?.clientCount == 0
        }
        #expect(isGone)
        #expect(-start.timeIntervalSinceNow > 0.9)
        let ids = try stage.consumer(ready: 24).next(24).map(\.id)
        #expect(Set(ids).count == 24, "another gets all of it")
        #expect(stage.nsqd.stop())
    }

    @Test func `waits for others no longer than a buffer is kept`() throws {
        let stage = try Stage()
        let consumer = try BlockingClient(connectingTo: stage.nsqd.tcpAddress)
        #expect(
            try consumer.ask("IDENTIFY", Array(#"{"output_buffer_timeout":1000}"#.utf8)) == "OK")
        #expect(try consumer.ask("SUB plays counts") == "OK")
        try consumer.send(Array("RDY 100\n".utf8))
        let start = Date()
        try stage.publish("play")
        #expect(try consumer.next().body == "play")
        #expect(-start.timeIntervalSinceNow < 5)
        #expect(stage.nsqd.stop())
    }
}
