import Foundation
import TestKit
import Testing

/// Topics that go while others work with them: with our daemon, or the nsqd that `NSQD_PROGRAM`
/// names. There a command may find the topic half gone; with ours it comes before or after.
@Suite(.timeLimit(.minutes(5))) struct `While topics are deleted` {
    private static let commands: [(line: String, body: [UInt8])] = [
        ("PUB plays", Array("play".utf8)), ("DPUB plays 0", Array("play".utf8)),
        ("MPUB plays", BlockingClient.batch(["play", "play"])),
    ]

    @Test(arguments: commands)
    func `publishers are answered OK, or that it is exiting`(line: String, body: [UInt8]) throws {
        let stage = try Stage()
        let verb = line.prefix { $0 != " " }
        let deletions = Deletions(on: stage)
        var publisher = try stage.client()
        while !deletions.areDone {
            let answer = try publisher.ask(line, body)
            guard answer != "OK" else { continue }
            #expect(RunningNSQD.isForeign && answer == "E_\(verb)_FAILED \(verb) failed exiting")
            #expect(throws: BlockingClient.Closed.self) { try publisher.message(timeout: 10) }
            publisher = try stage.client()
        }
        #expect(try stage.client().ask(line, body) == "OK", "the topic can be made anew")
        #expect(stage.nsqd.stop())
    }

    @Test func `publishers over HTTP are answered OK, or that it is exiting`() throws {
        let stage = try Stage()
        let deletions = Deletions(on: stage)
        let request = "POST /pub?topic=plays HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nplay"
        let publisher = try HTTPConnection(to: stage)
        while !deletions.areDone {
            publisher.send(request)
            let answer = try publisher.answer()
            guard answer.status != 200 else { continue }
            #expect(RunningNSQD.isForeign && answer.status == 503)
            #expect(answer.body == #"{"message":"EXITING"}"#)
        }
        #expect(stage.nsqd.stop())
    }

    @Test func `consumers are hung up on, and may come again`() throws {
        let stage = try Stage()
        for _ in 0..<20 {
            let consumers = try (0..<3).map { try stage.consumer(of: "plays", "c\($0)", ready: 9) }
            try stage.publish("play")
            for consumer in consumers { #expect(try consumer.next().body == "play") }
            try stage.act("/topic/delete")
            for consumer in consumers {
                #expect(throws: BlockingClient.Closed.self) { try consumer.message(timeout: 10) }
            }
        }
        #expect(try stage.topic() == nil)
        #expect(stage.nsqd.stop())
    }
}

/// A topic, deleted again and again by a thread of its own.
// SAFETY: the flag is behind the lock.
private final class Deletions: @unchecked Sendable {
    private let lock = NSLock()
    private var isDone = false

    var areDone: Bool { lock.withLock { isDone } }

    init(on stage: Stage) {
        Thread.detachNewThread { [self] in
            for _ in 0..<300 { _ = try? stage.ask("POST", "/topic/delete?topic=plays") }
            lock.withLock { isDone = true }
        }
    }
}
