import BrokerCore
import GoFlags
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

@Suite(.blocking, .ours("nsqd's messages have no lifetime")) struct `Lifetimes of messages` {
    @Test func `are set and shown by a route of their own`() async throws {
        let clock = Loop.Clock.manual
        let nsqd = try await HTTPProbe.startOwn(clock: clock) {
            $0.core.lifetimes.defaultLifetime = .seconds(3_600)
        }
        _ = try nsqd.post("/topic/create?topic=plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        func shown() throws -> (ttl: String?, expired: Int?) {
            let topics = try nsqd.get("/topic/ttl?topic=plays").json()["topics"] as? [[String: Any]]
            let channels = topics?.first?["channels"] as? [[String: Any]]
            return (
                topics?.first?["ttl"] as? String, channels?.first?["expired_count"] as? Int
            )
        }
        #expect(try shown() == ("1h0m0s", 0))
        #expect(try nsqd.post("/topic/ttl?topic=plays&ttl=10s").status == 200)
        _ = try nsqd.post("/pub?topic=plays", "a")
        try await nsqd.advance(by: .seconds(30))
        #expect(try shown() == ("10s", 1))
        let metrics = try nsqd.get("/metrics").body
        #expect(metrics.contains(#"nsqd_channel_expired_total{topic="plays",channel="count"} 1"#))
        for (query, status) in [
            ("topic=plays&ttl=x", 400), ("topic=plays&ttl=-1s", 400), ("topic=plays", 400),
            ("topic=likes&ttl=1s", 404), ("ttl=1s", 400),
            ("topic=plays&ttl=2000000h", 200), ("topic=plays&ttl=0s", 200),
        ] {
            #expect(try nsqd.post("/topic/ttl?\(query)").status == status, "\(query)")
        }
        await nsqd.stop()
    }

    @Test func `are read from flags and configuration files`() throws {
        var lifetimes = MessageLifetimes()
        try lifetimes.parse("10m")
        try lifetimes.parse("plays=1h")
        #expect(lifetimes.defaultLifetime == .seconds(600))
        #expect(lifetimes[TopicName("plays")!] == .seconds(3_600))
        #expect(lifetimes[TopicName("likes")!] == .seconds(600))
        #expect(lifetimes.helpText == "10m0s,plays=1h0m0s")
        for text in ["", "x", "plays=", "=1s", "a b=1s", "-1s", "plays=-1s", "1"] {
            #expect(throws: BadValue.self, "\(text)") { try lifetimes.parse(text) }
        }
        try lifetimes.set(.list([.text("likes=5s")]))
        #expect(lifetimes.defaultLifetime == .zero)
        #expect(lifetimes[TopicName("likes")!] == .seconds(5))
        #expect(throws: BadValue.self) { try lifetimes.set(.integer(1)) }
    }
}
