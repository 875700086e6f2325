import Foundation
import TestKit
import TestTraits
import Testing

/// Deletes topics that are in use, with our broker or the nsqd of `NSQD_PROGRAM`. In nsqd a command can
/// see a partially deleted topic; in our broker it runs before or after the deletion.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `While topics are deleted` {
    private static let commands: [(line: String, body: [UInt8])] = [
        ("PUB plays", Array("play".utf8)), ("DPUB plays 0", Array("play".utf8)),
        ("MPUB plays", BlockingClient.batch(["play", "play"])),
    ]

    @Test(arguments: commands)
    func `publishers receive OK or an error that the topic is exiting`(line: String, body: [UInt8])
        throws
    {
        let daemon = try TestDaemon()
        let verb = line.prefix { $0 != " " }
        let deletions = Deletions(on: daemon)
        var publisher = try daemon.client()
        while !deletions.areDone {
            let answer = try publisher.ask(line, body)
            guard answer != "OK" else { continue }
            #expect(RunningNSQD.isForeign && answer == "E_\(verb)_FAILED \(verb) failed exiting")
            #expect(throws: BlockingClient.Closed.self) { try publisher.next() }
            publisher = try daemon.client()
        }
        #expect(try daemon.client().ask(line, body) == "OK", "the topic can be made anew")
        #expect(daemon.nsqd.stop())
    }

    @Test func `HTTP publishers receive OK or an error that the topic is exiting`() throws {
        let daemon = try TestDaemon()
        let deletions = Deletions(on: daemon)
        let request =
            "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nplay"
        let publisher = try HTTPConnection(to: daemon)
        while !deletions.areDone {
            publisher.send(request)
            let response = try publisher.response()
            guard response.status != 200 else { continue }
            #expect(RunningNSQD.isForeign && response.status == 503)
            #expect(response.body == #"{"message":"EXITING"}"#)
        }
        #expect(daemon.nsqd.stop())
    }

    @Test func `consumers are disconnected and can reconnect`() throws {
        let daemon = try TestDaemon()
        for _ in 0..<20 {
            let consumers = try (0..<3).map { try daemon.consumer(of: "plays", "c\($0)", ready: 9) }
            try daemon.publish("play")
            for consumer in consumers { #expect(try consumer.next().body == "play") }
            try daemon.act("/topic/delete")
            for consumer in consumers {
                #expect(throws: BlockingClient.Closed.self) { try consumer.next() }
            }
        }
        #expect(try daemon.topic() == nil)
        #expect(daemon.nsqd.stop())
    }
}

/// Deletes a topic repeatedly on a thread of its own.
// SAFETY: a lock protects the flag.
private final class Deletions: @unchecked Sendable {
    private let lock = NSLock()
    private var isDone = false

    var areDone: Bool { lock.withLock { isDone } }

    init(on daemon: TestDaemon) {
        Thread.detachNewThread { [self] in
            for _ in 0..<300 { _ = try? daemon.request("POST", "/topic/delete?topic=plays") }
            lock.withLock { isDone = true }
        }
    }
}
