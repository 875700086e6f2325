import BrokerCore
import GoFlags
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing

@testable import NSQBroker

@Suite(.blocking, .ours("nsqd has no limit of attempts")) struct `Failed messages over HTTP` {
    private func fail(_ nsqd: HTTPProbe, _ bodies: String...) throws {
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB plays count")
        consumer.tell("RDY 1")
        for body in bodies {
            _ = try nsqd.post("/pub?topic=plays", body)
            consumer.tell("REQ \(consumer.message().id) 0")
        }
        #expect(try eventually { try messages(nsqd).count == bodies.count })
    }

    private func messages(_ nsqd: HTTPProbe) throws -> [[String: Any]] {
        let list = try nsqd.get("/failed?topic=plays&channel=count").json()
        return list["messages"] as? [[String: Any]] ?? []
    }

    @Test func `are listed, retried and discarded, one or all`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        _ = try nsqd.post("/topic/create?topic=plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        let set = "/channel/max-attempts?topic=plays&channel=count"
        #expect(try nsqd.post("\(set)&attempts=1").status == 200)
        try fail(nsqd, "a", "b", "c")
        let all = try messages(nsqd)
        #expect(all.map { $0["body"] as? String } == ["a", "b", "c"])
        #expect(all[0]["attempts"] as? Int == 1)
        #expect(all[0]["reason"] as? String == "attempts")
        let sets = try nsqd.get("/failed").json()["failed_sets"] as? [[String: Any]]
        #expect(sets?.map { $0["failed_topic"] as? String } == ["plays.count.failed"])
        #expect(sets?.map { $0["messages"] as? Int } == [3])
        #expect(
            try nsqd.get("/metrics").body.contains(
                #"nsqd_channel_failed_total{topic="plays",channel="count"} 3"#))
        #expect(try nsqd.post("\(set)&attempts=0").status == 200)
        let selection = "topic=plays&channel=count"
        let id = try #require(all[1]["id"] as? String)
        let retried = try nsqd.post("/failed/retry?\(selection)&id=\(id)").body
        #expect(retried == #"{"messages":1,"next":null}"#)
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB plays count")
        consumer.tell("RDY 1")
        #expect(consumer.message().body == "b")
        let first = try #require(all[0]["id"] as? String)
        let part = try nsqd.post("/failed/discard?\(selection)&limit=1").body
        #expect(part == #"{"messages":1,"next":"\#(first)"}"#)
        let rest = try nsqd.post("/failed/discard?\(selection)&after=\(first)").body
        #expect(rest == #"{"messages":1,"next":null}"#)
        #expect(try messages(nsqd).isEmpty)
        await nsqd.stop()
    }

    @Test func `have checked arguments`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        _ = try nsqd.post("/topic/create?topic=plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        let selection = "topic=plays&channel=count"
        for (target, status) in [
            ("/channel/max-attempts?\(selection)", 400),
            ("/channel/max-attempts?\(selection)&attempts=-1", 400),
            ("/channel/max-attempts?\(selection)&attempts=65536", 400),
            ("/channel/max-attempts?topic=plays&channel=x&attempts=1", 404),
            ("/channel/max-attempts?topic=plays&channel=x%23ephemeral&attempts=1", 400),
            ("/failed/retry?topic=plays", 400), ("/failed/retry?\(selection)&id=x", 400),
            ("/failed/retry?\(selection)&limit=0", 400),
            ("/failed/retry?\(selection)&after=x", 400),
            ("/failed/retry?topic=plays&channel=x", 409), ("/failed/retry?\(selection)", 200),
            ("/failed/discard?\(selection)&limit=1001", 400),
        ] {
            #expect(try nsqd.post(target).status == status, "\(target)")
        }
        #expect(try nsqd.get("/failed?\(selection)&after=x").status == 400)
        await nsqd.stop()
    }

    @Test func `have limits from flags and configuration files`() throws {
        var limits = AttemptLimits()
        try limits.parse("5")
        try limits.parse("plays/count=3")
        #expect(limits.helpText == "5,plays/count=3")
        #expect(limits[TopicName("plays")!, ChannelName("count")!] == 3)
        for text in [
            "", "x", "-1", "65536", "plays=1", "plays/=1", "/c=1", "a/b/c=1", "a/b=x",
            "a#ephemeral/b=1",
        ] {
            #expect(throws: BadValue.self, "\(text)") { try limits.parse(text) }
        }
        try limits.set(.list([.integer(2), .text("plays/count=0")]))
        #expect(limits.helpText == "2,plays/count=0")
        try limits.set(.integer(9))
        #expect(limits.defaultLimit == 9)
        #expect(throws: BadValue.self) { try limits.set(.boolean(true)) }
    }
}
