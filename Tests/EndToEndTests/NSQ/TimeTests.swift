import Foundation
import TestKit
import Testing

/// Timeouts and deferrals, over sockets: with our daemon, or the nsqd that `NSQD_PROGRAM` names,
/// which is up to five seconds late in a channel that is new.
@Suite(.timeLimit(.minutes(5))) struct `In its time a message` {
    @Test func `that nobody finished comes again, and may be finished then`() throws {
        let stage = try Stage()
        try stage.publish("play")
        let consumer = try stage.consumer(ready: 1, #""msg_timeout":1000"#)
        let first = try consumer.next()
        let second = try consumer.next()
        #expect(first.attempts == 1 && second.attempts == 2)
        #expect(second.id == first.id)
        #expect(second.timestampNanoseconds == first.timestampNanoseconds)
        try consumer.tell("FIN", first)
        try consumer.settle()
        let channel = try #require(try stage.channel())
        #expect(channel.timeoutCount == 1 && channel.requeueCount == 0)
        #expect(channel.inFlightCount == 0 && channel.depth == 0)
        #expect(stage.nsqd.stop())
    }

    @Test func `that has timed out is no longer in flight, or another's`() throws {
        let stage = try Stage("--msg-timeout=1s")
        try stage.publish("play")
        let slow = try stage.consumer(ready: 1)
        let message = try slow.next()
        try slow.send(Array("RDY 0\n".utf8))
        #expect(try stage.becomes { try stage.channel()?.depth == 1 })
        for (verb, rest) in [("FIN", ""), ("REQ", " 0"), ("TOUCH", "")] {
            let complaint = try slow.complaint(verb, message, rest)
            #expect(complaint.hasPrefix("E_\(verb)_FAILED \(verb) "))
            #expect(complaint.hasSuffix(" failed ID not in flight"))
        }
        let quick = try stage.consumer(ready: 1, #""msg_timeout":60000"#)
        #expect(try quick.next().attempts == 2)
        for (verb, rest) in [("FIN", ""), ("REQ", " 0"), ("TOUCH", "")] {
            let complaint = try slow.complaint(verb, message, rest)
            #expect(complaint.hasSuffix(" failed client does not own message"))
        }
        #expect(stage.nsqd.stop())
    }

    @Test func `stays with who touches it, up to the longest timeout`() throws {
        let stage = try Stage("--max-msg-timeout=3s")
        try stage.publish("play")
        let consumer = try stage.consumer(ready: 1, #""msg_timeout":1500"#)
        let message = try consumer.next()
        let start = Date()
        var again: BlockingClient.Message?
        while again == nil, start.timeIntervalSinceNow > -15 {
            try consumer.tell("TOUCH", message)
            again = try consumer.message(timeout: 0.3)
        }
        let time = -start.timeIntervalSinceNow
        #expect(time >= 2.9 && time < 15, "\(time) s")
        #expect(again?.attempts == 2)
        #expect(try stage.channel()?.timeoutCount == 1)
        #expect(stage.nsqd.stop())
    }

    @Test func `that is deferred comes not before, by REQ or by DPUB`() throws {
        let stage = try Stage()
        let consumer = try stage.consumer(ready: 2)
        let start = Date()
        #expect(try consumer.ask("DPUB plays 1500", Array("deferred".utf8)) == "OK")
        try stage.publish("play")
        let play = try consumer.next()
        #expect(play.body == "play")
        try consumer.tell("REQ", play, " 1500")
        try consumer.settle()
        let channel = try #require(try stage.channel())
        #expect(channel.deferredCount == 2 && channel.depth == 0 && channel.inFlightCount == 0)
        #expect(channel.requeueCount == 1 && channel.messageCount == 2)
        let messages = try consumer.next(2)
        #expect(-start.timeIntervalSinceNow >= 1.5)
        #expect(messages.map { "\($0.body) \($0.attempts)" }.sorted() == ["deferred 1", "play 2"])
        #expect(stage.nsqd.stop())
    }

    @Test func `that waits for its time is in the way of none`() throws {
        let stage = try Stage()
        let consumer = try stage.consumer(ready: 1)
        #expect(try consumer.ask("DPUB plays 3600000", [0]) == "OK")
        try stage.publish("a", "b")
        for body in ["a", "b"] {
            let message = try consumer.next()
            #expect(message.body == body)
            try consumer.tell("FIN", message)
        }
        #expect(stage.nsqd.stop())
    }

    /// Ours gives it on at once; nsqd when it would have timed out.
    @Test func `whose consumer leaves comes to another`() throws {
        let stage = try Stage("--msg-timeout=2s")
        try stage.publish("play")
        var leaving: BlockingClient? = try stage.consumer(ready: 1)
        let first = try #require(try leaving?.next())
        let other = try stage.consumer(ready: 1)
        let start = Date()
        leaving = nil
        let second = try other.next()
        #expect(second.id == first.id && second.attempts == 2)
        let channel = try #require(try stage.channel())
        #expect(channel.requeueCount == 0, "nobody said REQ")
        #expect(RunningNSQD.isForeign || -start.timeIntervalSinceNow < 2)
        #expect(stage.nsqd.stop())
    }

    /// nsqd begins to count when there is a channel, ours when it was published.
    @Test func `that is deferred waits for a channel, too`() throws {
        let stage = try Stage()
        #expect(try stage.client().ask("DPUB plays 1000", Array("play".utf8)) == "OK")
        #expect(try stage.topic()?.depth == 1 && stage.topic()?.messageCount == 1)
        // That nothing happens meanwhile is all there is to see.
        Thread.sleep(forTimeInterval: 1.1)
        let start = Date()
        #expect(try stage.consumer(ready: 1).next().body == "play")
        #expect(-start.timeIntervalSinceNow >= 0.99 || !RunningNSQD.isForeign)
        #expect(stage.nsqd.stop())
    }

    @Test func `that is requeued stands behind those that wait`() throws {
        let stage = try Stage()
        try stage.publish("a", "b", "c")
        let consumer = try stage.consumer(ready: 1)
        var bodies: [String] = []
        for _ in 0..<3 {
            let message = try consumer.next()
            bodies.append(message.body)
            try consumer.tell(
                message.body == "a" ? "REQ" : "FIN", message, bodies.count == 1 ? " 0" : "")
        }
        #expect(bodies == ["a", "b", "c"])
        let last = try consumer.next()
        #expect(last.body == "a" && last.attempts == 2)
        #expect(stage.nsqd.stop())
    }
}
