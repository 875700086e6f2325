import BrokerCore
import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing

/// NSQ documentation, “nsqd”, `e2e_processing_latency`.
@Suite(.blocking) struct `Latency in the statistics` {
    private func finishOne(on nsqd: HTTPProbe) throws {
        let client = try RawClient(to: nsqd.tcpAddress)
        client.ask("SUB plays count")
        _ = try nsqd.post("/pub?topic=plays", "play")
        client.tell("RDY 1")
        client.tell("FIN \(client.message().id)")
        client.ask("PUB other", body: "the FIN has come when this is answered")
    }

    @Test func `is included in JSON, text and Prometheus output`() async throws {
        var options = ServerOptions()
        options.latency.percentiles = [1, 0.99]
        let nsqd = try await HTTPProbe.start { $0 = options }
        try finishOne(on: nsqd)
        for part in [try nsqd.topic("plays"), try nsqd.channel("plays", "count")] {
            let latency = part?["e2e_processing_latency"] as? [String: Any]
            #expect(latency?["count"] as? Int == 1)
            let percentiles = latency?["percentiles"] as? [[String: Double]]
            #expect(percentiles?.map { $0["quantile"] } == [1, 0.99])
            #expect(percentiles?.allSatisfy { $0["value"]! > 0 } == true)
        }
        #expect(try nsqd.get("/stats?format=json").body.contains(#"{"quantile":1,"value":"#))
        #expect(try nsqd.get("/stats").body.contains(/e2e%: \d+\.\d(us|ms|s), \d+\.\d(us|ms|s)\n/))
        guard !HTTPProbe.isForeign else { return await nsqd.stop() }
        let metrics = try nsqd.get("/metrics").body
        #expect(
            metrics.contains(
                /nsqd_channel_e2e_processing_latency_seconds\{topic="plays",channel="count",quantile="0.99"\} \d/
            ))
        await nsqd.stop()
    }

    @Test func `is not included unless percentiles are configured`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        try finishOne(on: nsqd)
        let stats = try nsqd.get("/stats?format=json").body
        #expect(stats.contains(#""e2e_processing_latency":{"count":0,"percentiles":null}"#))
        #expect(try !nsqd.get("/metrics").body.contains("e2e_processing_latency"))
        await nsqd.stop()
    }

    @Test func `of loop iterations is counted in buckets`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        for _ in 0..<5 { _ = try nsqd.get("/ping") }
        let lines = try nsqd.get("/metrics").body.split(separator: "\n")
        func value(_ name: String) throws -> Double {
            let line = try #require(lines.first { $0.hasPrefix(name + " ") })
            return try #require(Double(line.dropFirst(name.count + 1)))
        }
        let all = try value(#"nsqd_loop_iteration_seconds_bucket{le="+Inf"}"#)
        #expect(all >= 5)
        #expect(try value("nsqd_loop_iteration_seconds_count") == all)
        #expect(try value(#"nsqd_loop_iteration_seconds_bucket{le="1"}"#) <= all)
        let sum = try value("nsqd_loop_iteration_seconds_sum")
        #expect(sum > 0 && sum < 60)
        await nsqd.stop()
    }
}
