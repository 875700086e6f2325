import Foundation
import TestKit
import TestTraits
import Testing

/// NSQ's rules for delivery, over sockets, with our broker or the nsqd of `NSQD_PROGRAM`. The recorded
/// conversations in `Fixtures/wire` cover the rest.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `Delivery to a consumer` {
    @Test
    func
        `is limited by the RDY count, and each finished or requeued message makes room for another`()
        throws
    {
        let daemon = try TestDaemon()
        try daemon.publish("a", "b", "c", "d", "e")
        let consumer = try daemon.consumer(ready: 0)
        #expect(try consumer.staysSilent())
        try consumer.send(Array("RDY 2\n".utf8))
        let first = try consumer.next(2)
        #expect(try consumer.staysSilent())
        try consumer.tell("FIN", first[0])
        _ = try consumer.next()
        try consumer.tell("REQ", first[1], " 60000")
        _ = try consumer.next()
        #expect(try consumer.staysSilent())
        #expect(daemon.nsqd.stop())
    }

    @Test func `continues after the channel is emptied`() throws {
        let daemon = try TestDaemon()
        try daemon.publish("old")
        let consumer = try daemon.consumer(ready: 1)
        let old = try consumer.next()
        try daemon.act("/channel/empty", channel: "counts")
        try daemon.publish("new")
        #expect(try consumer.next().body == "new")
        let complaint = try consumer.complaint("FIN", old)
        #expect(complaint.hasPrefix("E_FIN_FAILED FIN ") && complaint.hasSuffix("ID not in flight"))
        #expect(daemon.nsqd.stop())
    }

    @Test func `sends each message of a channel to one of its consumers`() throws {
        let daemon = try TestDaemon()
        let bodies = (0..<100).map { "\($0)" }
        let consumers = try (0..<3).map { _ in try daemon.consumer(ready: 100) }
        let producer = try daemon.client()
        for _ in 0..<2 {
            #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        }
        #expect(
            try eventually {
                let channel = try daemon.channel()
                return channel?.depth == 0 && channel?.inFlightCount == 200
            })
        var ids: [[UInt8]] = []
        #expect(
            try eventually {
                ids += try consumers.flatMap { try $0.settleAndDrain() }.map(\.id)
                return ids.count >= 200
            })
        #expect(ids.count == 200)
        #expect(Set(ids).count == 200)
        #expect(daemon.nsqd.stop())
    }

    @Test func `sends about the requested percentage with sample_rate`() throws {
        let daemon = try TestDaemon()
        let consumer = try daemon.consumer(ready: 2500, #""sample_rate":30"#)
        let producer = try daemon.client()
        let bodies = (0..<1000).map { "\($0)" }
        #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        #expect(
            try eventually {
                let channel = try daemon.channel()
                return channel?.depth == 0 && channel?.messageCount == 1000
            })
        let count = try #require(try daemon.channel()).inFlightCount
        #expect((200...400).contains(count), "\(count) of 1000 at 30 %")
        #expect(Set(try consumer.next(count).map(\.id)).count == count)
        #expect(try consumer.staysSilent(), "the others are gone")
        #expect(try daemon.channel()?.inFlightCount == count)
        #expect(daemon.nsqd.stop())
    }

    @Test func `counts attempts beyond 255`() throws {
        let daemon = try TestDaemon()
        try daemon.publish("play")
        let consumer = try daemon.consumer(ready: 1)
        let first = try consumer.next()
        var last = first
        for _ in 0..<300 {
            try consumer.tell("REQ", last, " 0")
            last = try consumer.next()
        }
        #expect(last.attempts == 301)
        #expect(last.id == first.id && last.body == "play")
        #expect(last.timestampNanoseconds == first.timestampNanoseconds)
        #expect(daemon.nsqd.stop())
    }

    @Test func `has ascending message IDs per topic and the publish time as timestamp`() throws {
        let daemon = try TestDaemon()
        let before = Int64(Date().timeIntervalSince1970 * 1e9)
        let producer = try daemon.client()
        let bodies = (0..<200).map { "\($0)" }
        #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
        let messages = try daemon.consumer(ready: 500).next(200)
        let ids = messages.map { String(decoding: $0.id, as: UTF8.self) }
        #expect(ids == ids.sorted() && Set(ids).count == 200)
        #expect(ids.allSatisfy { $0.wholeMatch(of: /[0-9a-f]{16}/) != nil })
        let after = Int64(Date().timeIntervalSince1970 * 1e9)
        // A double has fewer digits than the clock.
        let range = before - 1_000_000...after + 1_000_000
        #expect(messages.allSatisfy { range.contains($0.timestampNanoseconds) })
        #expect(messages.map(\.body) == bodies)
        #expect(daemon.nsqd.stop())
    }

    /// nsqd sends nothing more to a slow reader, but closes the connection only if the client sends
    /// nothing either.
    @Test func `waits for a slow reader up to the heartbeat interval`() throws {
        let daemon = try TestDaemon("--msg-timeout=1s")
        let deaf = try daemon.consumer(ready: 2500, #""heartbeat_interval":1000"#)
        let producer = try daemon.client()
        let body = String(repeating: "x", count: 1 << 20)
        let start = Date()
        for _ in 0..<6 {
            let batch = BlockingClient.batch(Array(repeating: body, count: 4))
            #expect(try producer.ask("MPUB plays", batch) == "OK")
        }
        let isGone = try eventually {
            if !RunningNSQD.isForeign { try? deaf.send(Array("NOP\n".utf8)) }
            return try daemon.channel()?.clientCount == 0
        }
        #expect(isGone)
        #expect(-start.timeIntervalSinceNow > 0.9)
        let other = try daemon.consumer(ready: 24, #""msg_timeout":60000"#)
        let ids = try other.next(24).map(\.id)
        #expect(Set(ids).count == 24, "another gets all of it")
        #expect(daemon.nsqd.stop())
    }

    @Test func `is delayed by at most the output buffer timeout`() throws {
        let daemon = try TestDaemon()
        let consumer = try BlockingClient(connectingTo: daemon.nsqd.tcpAddress)
        let settings = #"{"output_buffer_timeout":1000,"heartbeat_interval":60000}"#
        #expect(try consumer.ask("IDENTIFY", Array(settings.utf8)) == "OK")
        #expect(try consumer.ask("SUB plays counts") == "OK")
        try consumer.send(Array("RDY 100\n".utf8))
        let start = Date()
        try daemon.publish("play")
        #expect(try consumer.next().body == "play")
        // The first heartbeat, after 60 s, would also flush the output buffer.
        #expect(-start.timeIntervalSinceNow < 50)
        #expect(daemon.nsqd.stop())
    }
}
