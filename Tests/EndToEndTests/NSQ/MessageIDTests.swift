import Foundation
import TestKit
import Testing

/// What can be seen of messages' IDs, with our daemon, or the nsqd that `NSQD_PROGRAM` names. How
/// the 16 digits come about is a broker's own affair.
@Suite(.timeLimit(.minutes(5))) struct `The IDs of messages` {
    /// More than nsqd has IDs in a millisecond, and than ours has in a segment.
    @Test func `grow within a topic, however many come and by whatever command`() throws {
        let stage = try Stage()
        try stage.act("/topic/create")
        try stage.act("/channel/create", channel: "counts")
        let producer = try stage.client()
        let count = 9000
        for start in stride(from: 0, to: count, by: 3000) {
            let bodies = (start..<start + 2999).map { "\($0)" }
            #expect(try producer.ask("MPUB plays", BlockingClient.batch(bodies)) == "OK")
            #expect(try producer.ask("PUB plays", Array("\(start + 2999)".utf8)) == "OK")
        }
        var ids = [String?](repeating: nil, count: count)
        let consumer = try stage.consumer(ready: 2500)
        for _ in 0..<count {
            let message = try consumer.next()
            try consumer.tell("FIN", message)
            ids[try #require(Int(message.body))] = String(decoding: message.id, as: UTF8.self)
        }
        let inOrder = ids.compactMap { $0 }
        #expect(inOrder.count == count)
        #expect(inOrder.allSatisfy { $0.wholeMatch(of: /[0-9a-f]{16}/) != nil })
        #expect(zip(inOrder, inOrder.dropFirst()).allSatisfy { $0 < $1 })
        #expect(stage.nsqd.stop())
    }

    /// In nsqd those of both grow together.
    @Test func `grow among those that are deferred, and are none of the others'`() throws {
        let stage = try Stage()
        let consumer = try stage.consumer(ready: 10)
        for number in 0..<6 {
            let verb = number.isMultiple(of: 2) ? "PUB plays" : "DPUB plays 100"
            #expect(try consumer.ask(verb, Array("\(number)".utf8)) == "OK")
        }
        let messages = try consumer.next(6).sorted { $0.body < $1.body }
        let ids = messages.map { String(decoding: $0.id, as: UTF8.self) }
        #expect(ids[0] < ids[2] && ids[2] < ids[4])
        #expect(ids[1] < ids[3] && ids[3] < ids[5])
        #expect(Set(ids).count == 6)
        #expect(stage.nsqd.stop())
    }

    @Test func `are the same on every channel, and so are the times`() throws {
        let stage = try Stage()
        let consumers = try ["a", "b"].map { try stage.consumer($0, ready: 10) }
        try stage.publish("x", "y", "z")
        let seen = try consumers.map { consumer in
            try consumer.next(3).sorted { $0.body < $1.body }
        }
        #expect(seen[0].map(\.id) == seen[1].map(\.id))
        #expect(seen[0].map(\.timestampNanoseconds) == seen[1].map(\.timestampNanoseconds))
        #expect(Set(seen[0].map(\.id)).count == 3)
        #expect(stage.nsqd.stop())
    }

    /// A consumer that knows messages by their IDs must not take a new one for one it has had.
    @Test(arguments: [SIGTERM, SIGKILL])
    func `do not come again after a restart, not even in a topic made anew`(signal: Int32) throws {
        let folder = try TemporaryFolder()
        var ids: [String] = []
        for run in 0..<3 {
            let stage = try Stage(dataPath: folder.url.path)
            if run > 0 { try stage.act("/topic/delete") }
            try stage.publish("play")
            let consumer = try stage.consumer(ready: 1)
            let message = try consumer.next()
            try consumer.tell("FIN", message)
            try consumer.settle()
            ids.append(String(decoding: message.id, as: UTF8.self))
            RunningNSQD.waitUntilItHearsSignals()
            stage.nsqd.process.send(signal)
            #expect(stage.nsqd.process.status(timeout: 20) == (signal == SIGKILL ? -SIGKILL : 0))
        }
        #expect(ids[0] < ids[1] && ids[1] < ids[2], "\(ids)")
    }
}
