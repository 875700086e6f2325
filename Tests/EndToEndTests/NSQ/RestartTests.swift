import Foundation
import TestKit
import Testing

/// What outlives the daemon, over sockets: with ours, or the nsqd that `NSQD_PROGRAM` names.
@Suite(.timeLimit(.minutes(5))) struct `After a restart` {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func start() throws -> Stage { try Stage(dataPath: folder.url.path) }

    private func stop(_ stage: Stage, _ signal: Int32 = SIGTERM) throws {
        RunningNSQD.waitUntilItHearsSignals()
        stage.nsqd.process.send(signal)
        #expect(stage.nsqd.process.status(timeout: 20) == 0)
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `messages are back as they were, with what was in flight counted`(signal: Int32) throws {
        let stage = try start()
        let consumer = try stage.consumer(ready: 1)
        try stage.publish("in flight", "waiting")
        let before = try consumer.next()
        try stop(stage, signal)
        #expect(throws: BlockingClient.Closed.self) { try consumer.message(timeout: 10) }

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

    @Test func `what was finished or deleted stays away, and ephemeral ones are forgotten`() throws
    {
        let stage = try start()
        try stage.publish("kept", "done")
        let consumer = try stage.consumer(ready: 2)
        for message in try consumer.next(2) where message.body == "done" {
            try consumer.tell("FIN", message)
        }
        try consumer.settle()
        for topic in ["gone", "brief#ephemeral"] { try stage.act("/topic/create", topic: topic) }
        try stage.act("/channel/create", channel: "brief#ephemeral")
        try stage.act("/channel/create", channel: "gone")
        try stage.act("/channel/delete", channel: "gone")
        try stage.act("/topic/delete", topic: "gone")
        try stop(stage)

        let next = try start()
        #expect(try next.topic("gone") == nil)
        #expect(try next.topic("brief#ephemeral") == nil)
        #expect(try next.topic()?.channels.map(\.channelName) == ["counts"])
        #expect(try next.consumer(ready: 2).next().body == "kept")
        try stop(next)
    }

    @Test func `pauses are as they were, also after a kill`() throws {
        let stage = try start()
        for topic in ["plays", "other"] { try stage.act("/topic/create", topic: topic) }
        for channel in ["counts", "more"] { try stage.act("/channel/create", channel: channel) }
        try stage.act("/topic/pause", topic: "other")
        try stage.act("/channel/pause", channel: "counts")
        try stage.act("/channel/pause", channel: "more")
        try stage.act("/channel/unpause", channel: "more")
        stage.nsqd.process.send(SIGKILL)
        #expect(stage.nsqd.process.status(timeout: 20) == -SIGKILL)

        let next = try start()
        #expect(try next.topic("other")?.paused == true)
        #expect(try next.topic()?.paused == false)
        #expect(try next.channel("counts")?.paused == true)
        #expect(try next.channel("more")?.paused == false)
        try stop(next)
    }

    /// nsqd forgets what they were deferred to.
    @Test func `deferred messages are there`() throws {
        let stage = try start()
        let client = try stage.consumer(ready: 1)
        #expect(try client.ask("DPUB plays 1500", Array("deferred".utf8)) == "OK")
        try stage.publish("requeued")
        try client.tell("REQ", try client.next(), " 1500")
        try client.settle()
        try stop(stage)

        let next = try start()
        let messages = try next.consumer(ready: 2).next(2)
        #expect(
            messages.map { "\($0.body) \($0.attempts)" }.sorted() == ["deferred 1", "requeued 2"])
        try stop(next)
    }

    @Test func `a data path that another has, or that is not there, ends the start with 1`() throws
    {
        let stage = try start()
        let executable = RunningNSQD.named ?? BuiltProcess.tally
        for path in [folder.url.path, folder.url.path + "/none"] {
            let second = try BuiltProcess(
                (RunningNSQD.isForeign ? [] : ["nsqd"])
                    + ["-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0"]
                    + ["-data-path=\(path)"], executable: executable)
            #expect(second.status() == 1)
            let last = second.lines(of: .standardError).last ?? ""
            #expect(last.contains("FATAL: failed to instantiate nsqd - "))
            #expect(last.contains("data-path"), "\(last)")
        }
        try stop(stage)
    }

    @Test func `a topic has what it keeps for its first channel`() throws {
        let stage = try start()
        try stage.publish("a", "b")
        try stop(stage)

        let next = try start()
        #expect(try next.topic()?.depth == 2)
        #expect(try next.topic()?.channels.isEmpty == true)
        let messages = try next.consumer(ready: 2).next(2)
        #expect(messages.map { "\($0.body) \($0.attempts)" }.sorted() == ["a 1", "b 1"])
        try stop(next)
    }
}
