import BrokerCore
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

@Suite(.blocking, .ours("nsqd cannot be drained")) struct `A drain with a hand-over` {
    private func wait(
        _ nsqd: HTTPProbe, until isDone: ([String: Any]) -> Bool
    ) async throws -> [String: Any] {
        var report: [String: Any] = [:]
        try #require(
            try eventually {
                report = try nsqd.get("/drain").json()
                return isDone(report)
            })
        return report
    }

    private func create(_ nsqd: HTTPProbe, _ channels: String...) throws {
        #expect(try nsqd.post("/topic/create?topic=plays").status == 200)
        for channel in channels {
            let target = "/channel/create?topic=plays&channel=\(channel)"
            #expect(try nsqd.post(target).status == 200)
        }
    }

    private func depth(_ nsqd: HTTPProbe, _ channel: String) throws -> Int? {
        try nsqd.channel("plays", channel)?["depth"] as? Int
    }

    @Test func `moves each message to the channels that have not finished it`() async throws {
        let (source, target) = (try await HTTPProbe.startOwn(), try await HTTPProbe.startOwn())
        try create(source, "a", "b")
        try create(target, "other")
        for body in ["1", "2", "3"] { _ = try source.post("/pub?topic=plays", body) }
        let consumer = try RawClient(to: source.tcpAddress)
        consumer.ask("SUB plays a")
        consumer.tell("RDY 1")
        consumer.tell("FIN \(consumer.message().id)")
        let held = consumer.message().id
        consumer.tell("RDY 0")
        _ = try source.post("/pub?topic=plays&defer=3600000", "4")
        let begun = try source.post("/drain?to=\(target.httpAddress)")
        #expect(begun.status == 200)
        let last = try await wait(source) { $0["messages_left"] as? Int == 1 }
        let handOver = try #require(last["hand_over"] as? [String: Any])
        #expect(handOver["address"] as? String == "\(target.httpAddress)")
        #expect((handOver["program"] as? String)?.hasPrefix("tally ") == true)
        #expect(try depth(target, "a") == 1)
        #expect(try depth(target, "b") == 3)
        #expect(try depth(target, "other") == 0)
        for channel in ["a", "b"] {
            #expect(try target.channel("plays", channel)?["deferred_count"] as? Int == 1)
        }
        // The message in flight follows when it is requeued, although the consumer is ready.
        consumer.tell("RDY 1")
        consumer.tell("REQ \(held) 0")
        _ = try await wait(source) { $0["state"] as? String == "drained" }
        #expect(try depth(target, "a") == 2)
        await source.stop()
        await target.stop()
    }

    @Test func `delivers here while the destination is away`() async throws {
        let reserved = try await HTTPProbe.startOwn()
        let address = reserved.httpAddress
        await reserved.stop()
        let source = try await HTTPProbe.startOwn()
        try create(source, "a")
        _ = try source.post("/pub?topic=plays", "1")
        _ = try source.post("/drain?to=\(address)")
        let report = try await wait(source) {
            (($0["hand_over"] as? [String: Any])?["error"] as? String) != nil
        }
        #expect(report["state"] as? String == "draining")
        let consumer = try RawClient(to: source.tcpAddress)
        consumer.ask("SUB plays a")
        consumer.tell("RDY 1")
        #expect(consumer.message().body == "1")
        await source.stop()
    }

    @Test func `retries what the destination refuses, and stops when it is cancelled`()
        async throws
    {
        let (source, target) = (try await HTTPProbe.startOwn(), try await HTTPProbe.startOwn())
        try create(source, "a")
        try create(target, "a")
        _ = try target.post("/topic/pause?topic=plays")
        _ = try source.post("/pub?topic=plays", "1")
        _ = try source.post("/drain?to=\(target.httpAddress)")
        let refused = try await wait(source) { report in
            let topics = report["topics"] as? [[String: Any]]
            return topics?.first?["error"] as? String == "/handover: status 503 TOPIC_HELD"
        }
        #expect(refused["messages_left"] as? Int == 1)
        let cancelled = try source.post("/drain/cancel").json()
        #expect(cancelled["hand_over"] is [String: Any] == false)
        _ = try target.post("/topic/unpause?topic=plays")
        #expect(try depth(source, "a") == 1)
        _ = try source.post("/drain?to=\(target.httpAddress)")
        _ = try await wait(source) { $0["state"] as? String == "drained" }
        #expect(try depth(target, "a") == 1)
        await source.stop()
        await target.stop()
    }

    @Test func `goes on when it is requested again`() async throws {
        let (source, target) = (try await HTTPProbe.startOwn(), try await HTTPProbe.startOwn())
        try create(source, "a")
        _ = try source.post("/mpub?topic=plays", "1\n2\n3")
        let consumer = try RawClient(to: source.tcpAddress)
        consumer.ask("SUB plays a")
        consumer.tell("RDY 1")
        let held = consumer.message().id
        func acknowledged(_ report: [String: Any]) -> Int? {
            (report["hand_over"] as? [String: Any])?["messages_acknowledged"] as? Int
        }
        let drain = "/drain?to=\(target.httpAddress)"
        _ = try source.post(drain)
        _ = try await wait(source) { acknowledged($0) == 2 }
        #expect(acknowledged(try source.post(drain).json()) == 2)
        consumer.tell("FIN \(held)")
        let last = try await wait(source) { $0["state"] as? String == "drained" }
        #expect(acknowledged(last) == 2)
        #expect(try depth(target, "a") == 2)
        await source.stop()
        await target.stop()
    }

    @Test func `continues with another destination`() async throws {
        let (source, target) = (try await HTTPProbe.startOwn(), try await HTTPProbe.startOwn())
        let refusing = try await HTTPProbe.startOwn()
        try create(source, "a")
        try create(refusing, "a")
        _ = try refusing.post("/topic/pause?topic=plays")
        _ = try source.post("/pub?topic=plays", "1")
        _ = try source.post("/drain?to=\(refusing.httpAddress)")
        _ = try await wait(source) { report in
            let topics = report["topics"] as? [[String: Any]]
            return topics?.first?["error"] as? String != nil
        }
        _ = try source.post("/drain?to=\(target.httpAddress)")
        _ = try await wait(source) { $0["state"] as? String == "drained" }
        #expect(try depth(target, "a") == 1)
        for nsqd in [source, target, refusing] { await nsqd.stop() }
    }

    @Test func `moves the messages of more channels than it searches together`() async throws {
        let (source, target) = (try await HTTPProbe.startOwn(), try await HTTPProbe.startOwn())
        for number in 100..<170 { try create(source, "c\(number)") }
        _ = try source.post("/mpub?topic=plays", "1\n2")
        _ = try source.post("/drain?to=\(target.httpAddress)")
        _ = try await wait(source) { $0["state"] as? String == "drained" }
        for number in 100..<170 { #expect(try depth(target, "c\(number)") == 2) }
        await source.stop()
        await target.stop()
    }

    @Test func `refuses an invalid address`() async throws {
        let source = try await HTTPProbe.startOwn()
        #expect(try source.post("/drain?to=a%20b:1").status == 400)
        #expect(try source.get("/drain").json()["state"] as? String == "running")
        await source.stop()
    }

    @Test(arguments: [
        ("", 413), ("\0\0\0\0", 413), ("\0\0\0\u{1}\0\0\0\0\0\0\0\0", 413),
        ("\0\0\0\u{1}\0\0\0\0\0\0\0\u{2}a", 413), ("\0\0\0\u{1}\0\0\0\0\0\0\0\u{1}ab", 413),
        ("\0\0\0\u{1}\0\0\0\0\0\0\0\u{1}a", 200),
    ]) func `checks received messages`(body: String, status: Int) async throws {
        let target = try await HTTPProbe.startOwn()
        #expect(try target.post("/handover?topic=plays&channels=a", body).status == status)
        #expect(try target.post("/handover?topic=plays&channels=a%23", body).status == 400)
        #expect(try target.post("/handover?channels=a", body).status == 400)
        await target.stop()
    }
}

@Suite(.blocking, .ours("nsqd cannot be drained")) struct `A hand-over to a real nsqd` {
    /// Answers requests of a hand-over until one publishes.
    private func serve(
        _ listener: BlockingListener, channels: [String], until path: String
    ) throws -> [String] {
        let names = channels.map { "{\"channel_name\":\"\($0)\"}" }.joined(separator: ",")
        var lines: [String] = []
        while true {
            let request = try listener.accept()
            let line = request.receiveRequest().head.first ?? ""
            lines.append(line)
            request.respond(
                line.contains("/info")
                    ? #"{"version":"1.3.0"}"#
                    : #"{"topics":[{"topic_name":"plays","channels":[\#(names)]}]}"#)
            if line.contains(path) { return lines }
        }
    }

    @Test func `creates the channels, and publishes what all of them have not finished`()
        async throws
    {
        let listener = try BlockingListener()
        let source = try await HTTPProbe.startOwn { $0.httpClient.requestTimeout = .seconds(300) }
        _ = try source.post("/topic/create?topic=plays")
        for channel in ["a", "b"] {
            _ = try source.post("/channel/create?topic=plays&channel=\(channel)")
        }
        _ = try source.post("/mpub?topic=plays", "1\n2")
        _ = try source.post("/drain?to=\(listener.address)")
        let lines = try serve(listener, channels: ["a", "b"], until: "/mpub")
        #expect(
            lines.map { String($0.split(separator: " ")[1]) } == [
                "/info", "/topic/create?topic=plays", "/channel/create?channel=a&topic=plays",
                "/channel/create?channel=b&topic=plays",
                "/stats?format=json&include_clients=false&topic=plays",
                "/mpub?binary=true&topic=plays",
            ])
        #expect(
            try eventually { try source.get("/drain").json()["state"] as? String == "drained" })
        await source.stop()
    }

    @Test func `refuses what would reach other channels, and delivers it here`() async throws {
        let listener = try BlockingListener()
        let source = try await HTTPProbe.startOwn { $0.httpClient.requestTimeout = .seconds(300) }
        _ = try source.post("/topic/create?topic=plays")
        _ = try source.post("/channel/create?topic=plays&channel=a")
        _ = try source.post("/pub?topic=plays", "1")
        _ = try source.post("/drain?to=\(listener.address)")
        _ = try serve(listener, channels: ["a", "b"], until: "/stats")
        var error: String?
        #expect(
            try eventually {
                let topics = try source.get("/drain").json()["topics"] as? [[String: Any]]
                error = topics?.first?["error"] as? String
                return error != nil
            })
        #expect(error?.contains("would give messages for a also to b") == true)
        let consumer = try RawClient(to: source.tcpAddress)
        consumer.ask("SUB plays a")
        consumer.tell("RDY 1")
        #expect(consumer.message().body == "1")
        await source.stop()
    }
}
