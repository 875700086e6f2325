import Foundation
import TestKit
import TestTraits
import Testing

/// Timeouts and delays over sockets, with our broker or the nsqd of `NSQD_PROGRAM`, which can be five
/// seconds late in a new channel.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `A message with a timeout or delay` {
    @Test func `is redelivered after its timeout and can then be finished`() throws {
        let daemon = try TestDaemon()
        try daemon.publish("play")
        let consumer = try daemon.consumer(ready: 1, #""msg_timeout":1000"#)
        let first = try consumer.next()
        let second = try consumer.next()
        #expect(first.attempts == 1 && second.attempts == 2)
        #expect(second.id == first.id)
        #expect(second.timestampNanoseconds == first.timestampNanoseconds)
        try consumer.tell("FIN", first)
        // If the machine stalls meanwhile, the message times out more than once.
        let last = try consumer.settleAndDrain().last ?? second
        let channel = try #require(try daemon.channel())
        #expect(channel.timeoutCount == last.attempts - 1 && channel.requeueCount == 0)
        #expect(channel.inFlightCount == 0 && channel.depth == 0)
        #expect(daemon.nsqd.stop())
    }

    @Test func `cannot be finished by its former consumer after the timeout`() throws {
        let daemon = try TestDaemon("--msg-timeout=1s")
        try daemon.publish("play")
        let slow = try daemon.consumer(ready: 1)
        let message = try slow.next()
        try slow.send(Array("RDY 0\n".utf8))
        #expect(try eventually { try daemon.channel()?.depth == 1 })
        for (verb, rest) in [("FIN", ""), ("REQ", " 0"), ("TOUCH", "")] {
            let complaint = try slow.complaint(verb, message, rest)
            #expect(complaint.hasPrefix("E_\(verb)_FAILED \(verb) "))
            #expect(complaint.hasSuffix(" failed ID not in flight"))
        }
        // If the machine stalls meanwhile, the message also times out before RDY 0.
        let last = try slow.settleAndDrain().last ?? message
        let quick = try daemon.consumer(ready: 1, #""msg_timeout":60000"#)
        #expect(try quick.next().attempts == last.attempts + 1)
        for (verb, rest) in [("FIN", ""), ("REQ", " 0"), ("TOUCH", "")] {
            let complaint = try slow.complaint(verb, message, rest)
            #expect(complaint.hasSuffix(" failed client does not own message"))
        }
        #expect(daemon.nsqd.stop())
    }

    @Test func `stays in flight while it is touched, up to the maximum timeout`() throws {
        let daemon = try TestDaemon("--max-msg-timeout=3s")
        try daemon.publish("play")
        let consumer = try daemon.consumer(ready: 1, #""msg_timeout":1500"#)
        var message = try consumer.next()
        var time = 0.0
        // If the machine stalls meanwhile, a TOUCH can be too late, so the loop repeats the attempt.
        // Each attempt begins with a delivery.
        for _ in 1...50 where time < 2.9 {
            let start = Date()
            var again: BlockingClient.Message?
            while again == nil, start.timeIntervalSinceNow > -longestWait {
                try consumer.tell("TOUCH", message)
                again = try consumer.message(timeout: 0.3)
            }
            time = -start.timeIntervalSinceNow
            let next = try #require(again)
            #expect(next.id == message.id && next.attempts == message.attempts + 1)
            message = next
        }
        #expect(time >= 2.9, "\(time) s")
        #expect(daemon.nsqd.stop())
    }

    @Test func `is not delivered before the delay of REQ or DPUB has passed`() throws {
        let daemon = try TestDaemon()
        let consumer = try daemon.consumer(ready: 2)
        // Two messages stay deferred until the counters are read.
        for delay in [3_600_000, 1500] {
            let name = delay == 1500 ? "play" : "long"
            try daemon.publish(name)
            let play = try consumer.next()
            #expect(play.body == name)
            try consumer.tell("REQ", play, " \(delay)")
            guard delay != 1500 else { break }
            #expect(try consumer.ask("DPUB plays \(delay)", Array("long".utf8)) == "OK")
            let channel = try #require(try daemon.channel())
            #expect(channel.deferredCount == 2 && channel.depth == 0 && channel.inFlightCount == 0)
            #expect(channel.requeueCount == 1 && channel.messageCount == 2)
        }
        let start = Date()
        #expect(try consumer.ask("DPUB plays 1500", Array("deferred".utf8)) == "OK")
        let messages = try consumer.next(2)
        #expect(-start.timeIntervalSinceNow >= 1.5)
        #expect(messages.map { "\($0.body) \($0.attempts)" }.sorted() == ["deferred 1", "play 2"])
        #expect(daemon.nsqd.stop())
    }

    @Test func `does not delay other messages while it is deferred`() throws {
        let daemon = try TestDaemon()
        let consumer = try daemon.consumer(ready: 1)
        #expect(try consumer.ask("DPUB plays 3600000", [0]) == "OK")
        try daemon.publish("a", "b")
        for body in ["a", "b"] {
            let message = try consumer.next()
            #expect(message.body == body)
            try consumer.tell("FIN", message)
        }
        #expect(daemon.nsqd.stop())
    }

    /// Our broker redelivers it at once, nsqd after its timeout.
    @Test func `is redelivered to another consumer after a disconnect`() throws {
        let daemon = try TestDaemon("--msg-timeout=\(RunningNSQD.isForeign ? 2 : 900)s")
        try daemon.publish("play")
        var leaving: BlockingClient? = try daemon.consumer(ready: 1)
        let first = try #require(try leaving?.next())
        let other = try daemon.consumer(ready: 1)
        leaving = nil
        let second = try other.next()
        #expect(second.id == first.id && second.attempts == 2)
        let channel = try #require(try daemon.channel())
        #expect(channel.requeueCount == 0, "nobody printed REQ")
        #expect(daemon.nsqd.stop())
    }

    /// In nsqd the delay starts when the channel is created, in our broker when the message is published.
    @Test func `is deferred from publishing even if the channel is created later`() throws {
        let daemon = try TestDaemon()
        let other = try daemon.consumer(of: "other", ready: 1)
        #expect(try daemon.client().ask("DPUB plays 1000", Array("play".utf8)) == "OK")
        #expect(try daemon.topic()?.depth == 1 && daemon.topic()?.messageCount == 1)
        // The arrival of a later message with the same delay shows that the delay of the first message
        // has passed.
        #expect(try other.ask("DPUB other 1000", Array("later".utf8)) == "OK")
        #expect(try other.next().body == "later")
        let start = Date()
        #expect(try daemon.consumer(ready: 1).next().body == "play")
        #expect(-start.timeIntervalSinceNow >= 0.99 || !RunningNSQD.isForeign)
        #expect(daemon.nsqd.stop())
    }

    @Test func `is requeued behind the waiting messages`() throws {
        let daemon = try TestDaemon()
        try daemon.publish("a", "b", "c")
        let consumer = try daemon.consumer(ready: 1)
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
        #expect(daemon.nsqd.stop())
    }
}
