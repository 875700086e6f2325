import Foundation
import TestKit
import TestTraits
import Testing

/// Restarts over sockets, with our broker or the nsqd of `NSQD_PROGRAM`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `After a restart` {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func start() throws -> TestDaemon { try TestDaemon(dataPath: folder.url.path) }

    private func stop(_ daemon: TestDaemon, _ signal: Int32 = SIGTERM) throws {
        RunningNSQD.waitUntilSignalsAreHandled()
        daemon.nsqd.process.send(signal)
        #expect(daemon.nsqd.process.status() == 0)
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `messages are restored and in-flight deliveries count as attempts`(signal: Int32) throws {
        let daemon = try start()
        let consumer = try daemon.consumer(ready: 1)
        try daemon.publish("in flight", "waiting")
        let before = try consumer.next()
        try stop(daemon, signal)
        #expect(throws: BlockingClient.Closed.self) { try consumer.message(timeout: longestWait) }

        let next = try start()
        let channel = try #require(try next.channel())
        #expect(channel.depth == 2, "that it is not in flight, but waits")
        #expect(channel.messageCount + channel.timeoutCount + channel.requeueCount == 0)
        let messages = try next.consumer(ready: 2).next(2)
        #expect(
            messages.map { "\($0.body) \($0.attempts)" }.sorted() == ["in flight 2", "waiting 1"])
        let again = try #require(messages.first { $0.body == before.body })
        #expect(again.id == before.id)
        #expect(again.timestampNanoseconds == before.timestampNanoseconds)
        try stop(next)
    }

    @Test func `finished, deleted and ephemeral messages are not restored`() throws {
        let daemon = try start()
        try daemon.publish("kept", "done")
        let consumer = try daemon.consumer(ready: 2)
        for message in try consumer.next(2) where message.body == "done" {
            try consumer.tell("FIN", message)
        }
        try consumer.settle()
        for topic in ["gone", "brief#ephemeral"] { try daemon.act("/topic/create", topic: topic) }
        try daemon.act("/channel/create", channel: "brief#ephemeral")
        try daemon.act("/channel/create", channel: "gone")
        try daemon.act("/channel/delete", channel: "gone")
        try daemon.act("/topic/delete", topic: "gone")
        try stop(daemon)

        let next = try start()
        #expect(try next.topic("gone") == nil)
        #expect(try next.topic("brief#ephemeral") == nil)
        #expect(try next.topic()?.channels.map(\.channelName) == ["counts"])
        #expect(try next.consumer(ready: 2).next().body == "kept")
        try stop(next)
    }

    @Test func `topics and channels are paused as before, even after SIGKILL`() throws {
        let daemon = try start()
        for topic in ["plays", "other"] { try daemon.act("/topic/create", topic: topic) }
        for channel in ["counts", "more"] { try daemon.act("/channel/create", channel: channel) }
        try daemon.act("/topic/pause", topic: "other")
        try daemon.act("/channel/pause", channel: "counts")
        try daemon.act("/channel/pause", channel: "more")
        try daemon.act("/channel/unpause", channel: "more")
        daemon.nsqd.process.send(SIGKILL)
        #expect(daemon.nsqd.process.status() == -SIGKILL)

        let next = try start()
        #expect(try next.topic("other")?.paused == true)
        #expect(try next.topic()?.paused == false)
        #expect(try next.channel("counts")?.paused == true)
        #expect(try next.channel("more")?.paused == false)
        try stop(next)
    }

    /// nsqd does not store the time until which messages are deferred.
    @Test func `deferred messages are restored`() throws {
        let daemon = try start()
        let client = try daemon.consumer(ready: 1)
        try daemon.publish("requeued")
        let message = try client.next()
        // Nothing is delivered before the restart, however long the commands take.
        try client.send(Array("RDY 0\n".utf8))
        #expect(try client.ask("DPUB plays 1500", Array("deferred".utf8)) == "OK")
        try client.tell("REQ", message, " 1500")
        try client.settle()
        try stop(daemon)

        let next = try start()
        let messages = try next.consumer(ready: 2).next(2)
        #expect(
            messages.map { "\($0.body) \($0.attempts)" }.sorted() == ["deferred 1", "requeued 2"])
        try stop(next)
    }

    @Test func `a locked or missing data path makes the broker exit with 1`() throws {
        let daemon = try start()
        let executable = RunningNSQD.named ?? BuiltProcess.tally
        // Unlike nsqd, the built binary creates a missing folder if its parent exists.
        for path in [folder.url.path, folder.url.path + "/none/none"] {
            let second = try BuiltProcess(
                (RunningNSQD.isForeign ? [] : ["nsqd"])
                    + ["-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0"]
                    + ["-data-path=\(path)"], executable: executable)
            #expect(second.status() == 1)
            let last = second.lines(of: .standardError).last ?? ""
            #expect(last.contains("FATAL: failed to instantiate nsqd - "))
            #expect(last.contains("data-path"), "\(last)")
        }
        try stop(daemon)
    }

    @Test func `a topic without channels still has its messages`() throws {
        let daemon = try start()
        try daemon.publish("a", "b")
        try stop(daemon)

        let next = try start()
        #expect(try next.topic()?.depth == 2)
        #expect(try next.topic()?.channels.isEmpty == true)
        let messages = try next.consumer(ready: 2).next(2)
        #expect(messages.map { "\($0.body) \($0.attempts)" }.sorted() == ["a 1", "b 1"])
        try stop(next)
    }
}
