import Foundation
import TestKit
import TestTraits
import Testing

/// The visible properties of message IDs, with our broker or the nsqd of `NSQD_PROGRAM`. Their 16 digits
/// are generated differently.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `Message IDs` {
    /// The test publishes more messages than nsqd has IDs per millisecond, and more than our broker
    /// has per segment.
    @Test func `ascend within a topic for every publish command`() throws {
        let daemon = try TestDaemon()
        try daemon.act("/topic/create")
        try daemon.act("/channel/create", channel: "counts")
        let producer = try daemon.client()
        let count = 9000
        for start in stride(from: 0, to: count, by: 3000) {
            let bodies = (start..<start + 2999).map { "\($0)" }
            #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
            #expect(try producer.ask("PUB plays", Array("\(start + 2999)".utf8)) == "OK")
        }
        var ids = [String?](repeating: nil, count: count)
        let consumer = try daemon.consumer(ready: 2500)
        for _ in 0..<count {
            let message = try consumer.next()
            try consumer.tell("FIN", message)
            ids[try #require(Int(message.body))] = String(decoding: message.id, as: UTF8.self)
        }
        let inOrder = ids.compactMap { $0 }
        #expect(inOrder.count == count)
        #expect(inOrder.allSatisfy { $0.wholeMatch(of: /[0-9a-f]{16}/) != nil })
        #expect(zip(inOrder, inOrder.dropFirst()).allSatisfy { $0 < $1 })
        #expect(daemon.nsqd.stop())
    }

    /// In nsqd, deferred and other messages share one sequence.
    @Test func `ascend among deferred messages and are unique`() throws {
        let daemon = try TestDaemon()
        let consumer = try daemon.consumer(ready: 10)
        for number in 0..<6 {
            let verb = number.isMultiple(of: 2) ? "PUB plays" : "DPUB plays 100"
            #expect(try consumer.ask(verb, Array("\(number)".utf8)) == "OK")
        }
        let messages = try consumer.next(6).sorted { $0.body < $1.body }
        let ids = messages.map { String(decoding: $0.id, as: UTF8.self) }
        #expect(ids[0] < ids[2] && ids[2] < ids[4])
        #expect(ids[1] < ids[3] && ids[3] < ids[5])
        #expect(Set(ids).count == 6)
        #expect(daemon.nsqd.stop())
    }

    @Test func `and timestamps are the same on every channel`() throws {
        let daemon = try TestDaemon()
        let consumers = try ["a", "b"].map { try daemon.consumer($0, ready: 10) }
        try daemon.publish("x", "y", "z")
        let seen = try consumers.map { consumer in
            try consumer.next(3).sorted { $0.body < $1.body }
        }
        #expect(seen[0].map(\.id) == seen[1].map(\.id))
        #expect(seen[0].map(\.timestampNanoseconds) == seen[1].map(\.timestampNanoseconds))
        #expect(Set(seen[0].map(\.id)).count == 3)
        #expect(daemon.nsqd.stop())
    }

    /// Otherwise a consumer that deduplicates by ID would drop new messages.
    @Test(arguments: [SIGTERM, SIGKILL])
    func `are not reused after a restart, even in a recreated topic`(signal: Int32) throws {
        let folder = try TemporaryFolder()
        var ids: [String] = []
        for run in 0..<3 {
            let daemon = try TestDaemon(dataPath: folder.url.path)
            if run > 0 { try daemon.act("/topic/delete") }
            try daemon.publish("play")
            let consumer = try daemon.consumer(ready: 1)
            let message = try consumer.next()
            try consumer.tell("FIN", message)
            try consumer.settle()
            ids.append(String(decoding: message.id, as: UTF8.self))
            RunningNSQD.waitUntilSignalsAreHandled()
            daemon.nsqd.process.send(signal)
            #expect(daemon.nsqd.process.status() == (signal == SIGKILL ? -SIGKILL : 0))
        }
        #expect(ids[0] < ids[1] && ids[1] < ids[2], "\(ids)")
    }
}
