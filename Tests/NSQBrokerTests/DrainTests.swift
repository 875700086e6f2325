import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

@Suite(.blocking, .ours("nsqd cannot be drained")) struct `The drain of a broker` {
    private func drain(_ nsqd: HTTPProbe, _ method: String = "GET", _ target: String = "/drain")
        throws -> [String: Any]
    {
        try nsqd.request(method, target).json()
    }

    @Test func `refuses publishes, and delivers what is left`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        _ = try nsqd.post("/topic/create?topic=plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        _ = try nsqd.post("/mpub?topic=plays", "a\nb")
        #expect(try drain(nsqd)["state"] as? String == "running")
        let begun = try drain(nsqd, "POST")
        #expect(begun["state"] as? String == "draining")
        #expect(begun["messages_left"] as? Int == 2)
        #expect(begun["messages_at_start"] as? Int == 2)
        let topics = begun["topics"] as? [[String: Any]]
        #expect(topics?.first?["topic_name"] as? String == "plays")
        #expect(topics?.first?["messages_left"] as? Int == 2)
        let refused = try nsqd.post("/pub?topic=plays", "c")
        #expect(refused.status == 503)
        #expect(refused.body == #"{"message":"DRAINING"}"#)
        for path in ["/readyz", "/healthz"] {
            let health = try nsqd.get(path)
            #expect(health.status == 503)
            #expect(health.body == "draining")
        }
        #expect(try nsqd.get("/livez").status == 200)
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("DPUB plays 10", body: "d")
        #expect(client.response() == "E_DPUB_FAILED DPUB failed draining")
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB plays count")
        consumer.tell("RDY 2")
        for body in ["a", "b"] {
            let message = consumer.message()
            #expect(message.body == body)
            consumer.tell("FIN \(message.id)")
        }
        var report = try drain(nsqd)
        #expect(
            try eventually {
                report = try drain(nsqd)
                return report["state"] as? String != "draining"
            })
        #expect(report["state"] as? String == "drained")
        #expect(report["messages_left"] as? Int == 0)
        #expect(report["topic_count"] as? Int == 0)
        await nsqd.stop()
    }

    @Test func `leaves the nsqlookupds, and returns to them when it is cancelled`() async throws {
        let lookupd = try FakeLookupd()
        let nsqd = try await HTTPProbe.startOwn {
            $0.lookup.timeout = .seconds(300)
            $0.lookup.tcpAddresses = [lookupd.tcp.address]
        }
        let first = try lookupd.greet(hasHTTP: false).connection
        _ = try nsqd.post("/topic/create?topic=plays")
        #expect(first.command() == "REGISTER plays")
        _ = try drain(nsqd, "POST")
        #expect(first.socket.receiveAll() == [])
        #expect(try drain(nsqd, "POST", "/drain/cancel")["state"] as? String == "running")
        let second = try lookupd.greet(hasHTTP: false).connection
        #expect(second.command() == "REGISTER plays")
        #expect(try nsqd.post("/pub?topic=plays", "a").status == 200)
        #expect(try nsqd.get("/readyz").status == 200)
        await nsqd.stop()
    }

    @Test func `starts topics that wait for the channels at nsqlookupds`() async throws {
        let lookupd = try FakeLookupd()
        let nsqd = try await HTTPProbe.startOwn {
            $0.lookup.timeout = .seconds(300)
            $0.httpClient.requestTimeout = .seconds(300)
            $0.lookup.tcpAddresses = [lookupd.tcp.address]
        }
        let connection = try lookupd.greet().connection
        _ = try nsqd.post("/topic/create?topic=first")
        _ = connection.command()
        _ = try nsqd.post("/topic/create?topic=plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        _ = try nsqd.post("/pub?topic=plays", "a")
        let request = try lookupd.request(forChannelsOf: "plays")
        _ = try drain(nsqd, "POST")
        #expect(try nsqd.topic("plays")?["depth"] as? Int == 1)
        request.respond(#"{"channels":[]}"#)
        #expect(try eventually { try nsqd.channel("plays", "count")?["depth"] as? Int == 1 })
        await nsqd.stop()
    }
}

@Suite struct `The rate of a drain` {
    private static let second: Int64 = 1_000_000_000

    @Test func `is the number of messages per second in the last ten seconds`() {
        var rate = DrainRate(1_000, at: 0)
        #expect(rate.perSecond == 0)
        rate.add(900, at: Self.second)
        #expect(rate.perSecond == 100)
        rate.add(850, at: Self.second * 3 / 2)
        #expect(rate.perSecond == 100)
        for time in 2...20 { rate.add(900 - 10 * time, at: Int64(time) * Self.second) }
        #expect(rate.perSecond == 10)
        rate.add(2_000, at: 21 * Self.second)
        #expect(rate.perSecond == 0)
        #expect(rate.atStart == 1_000)
    }
}
