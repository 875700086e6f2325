import TallyBasics
import TestKit
import TestTraits
import Testing

/// NSQ documentation, “nsqd”, HTTP API: `/stats`, and the statistics that nsqd does not have.
@Suite(.blocking) struct `Statistics over HTTP` {
    private static let channelKeys = [
        "channel_name", "depth", "backend_depth", "in_flight_count", "deferred_count",
        "message_count", "requeue_count", "timeout_count", "client_count", "clients",
    ]
    private static let clientKeys = [
        "client_id", "hostname", "version", "remote_address", "state", "ready_count",
        "in_flight_count", "message_count", "finish_count", "requeue_count", "connect_ts",
        "sample_rate", "deflate", "snappy", "user_agent",
    ]
    private static let tlsKeys = [
        "tls", "tls_cipher_suite", "tls_version", "tls_negotiated_protocol",
        "tls_negotiated_protocol_is_mutual",
    ]

    @Test func `have nsqd's members in nsqd's order`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let (consumer, producer) = try Self.talk(with: nsqd, topic)
        let body = try nsqd.get("/stats?format=json&topic=\(topic)").body
        let ours = body.keys.filter { !$0.hasPrefix("topology_") && !$0.hasSuffix("_msg_count") }
        let latency = ["e2e_processing_latency", "count", "percentiles"]
        let expected =
            ["version", "health", "start_time", "topics", "topic_name", "channels"]
            + Self.channelKeys + Self.clientKeys + Self.tlsKeys + ["paused"] + latency
            + ["depth", "backend_depth", "message_count", "message_bytes", "paused"] + latency
            + [
                "memory", "heap_objects", "heap_idle_bytes", "heap_in_use_bytes",
                "heap_released_bytes", "gc_pause_usec_100", "gc_pause_usec_99",
                "gc_pause_usec_95", "next_gc_bytes", "gc_total_runs", "producers",
            ]
        #expect(Array(ours.prefix(expected.count)) == expected)
        // Producers of other tests can precede and follow this one.
        let producerKeys = Self.clientKeys + ["pub_counts", "topic", "count"] + Self.tlsKeys
        #expect(ours[expected.count...].contains(producerKeys))
        withExtendedLifetime((consumer, producer)) {}
        await nsqd.stop()
    }

    @Test func `count the commands of a consumer`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let (consumer, producer) = try Self.talk(with: nsqd, topic)
        let channel = try nsqd.channel(topic, "c")
        #expect(channel?["message_count"] as? Int == 3)
        #expect(channel?["in_flight_count"] as? Int == 1)
        #expect(channel?["client_count"] as? Int == 1)
        let client = (channel?["clients"] as? [[String: Any]])?.first
        #expect(client?["client_id"] as? String == "me")
        #expect(client?["hostname"] as? String == "here")
        #expect(client?["user_agent"] as? String == "test/1")
        #expect(client?["version"] as? String == "V2")
        #expect(client?["state"] as? Int == 3)
        #expect(client?["ready_count"] as? Int == 1)
        #expect(client?["message_count"] as? Int == 2)
        #expect(client?["finish_count"] as? Int == 1)
        #expect((client?["remote_address"] as? String)?.hasPrefix("127.0.0.1:") == true)
        let text = try nsqd.get("/stats?topic=\(topic)").body
        #expect(text.contains("[V2 here:"))
        #expect(text.contains(" test/1"))
        #expect(text.contains("state: 3 inflt: 1    rdy: 1    fin: 1        re-q: 0"))
        #expect(text.contains("msgs: 3        topics: \(topic)=3 connected: "))
        withExtendedLifetime((consumer, producer)) {}
        await nsqd.stop()
    }

    @Test func `show the state of each client`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let client = try RawClient(to: nsqd.tcpAddress)
        client.ask("PUB \(topic)", body: "play")
        func state() throws -> Int? {
            let channel = try nsqd.channel(topic, "c")
            let stats = try nsqd.get("/stats?format=json&topic=\(topic)").json()
            let clients = channel?["clients"] ?? stats["producers"]
            return (clients as? [[String: Any]])?.first?["state"] as? Int
        }
        #expect(try state() == 0, "a producer")
        client.ask("SUB \(topic) c")
        #expect(try state() == 3)
        client.tell("CLS")
        _ = client.socket.receive(8 + "CLOSE_WAIT".utf8.count)
        #expect(try state() == 4)
        await nsqd.stop()
    }

    @Test func `name a client by its address, and by its own names after IDENTIFY`()
        async throws
    {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB \(topic) c")
        let nameless = try RawClient(to: nsqd.tcpAddress)
        nameless.ask("IDENTIFY", body: "{}")
        nameless.ask("SUB \(topic) d")
        for (channel, name) in [("c", "127.0.0.1"), ("d", "")] {
            let client = (try nsqd.channel(topic, channel)?["clients"] as? [[String: Any]])?.first
            #expect(client?["client_id"] as? String == name)
            #expect(client?["hostname"] as? String == name)
        }
        withExtendedLifetime((consumer, nameless)) {}
        await nsqd.stop()
    }

    @Test func `can be filtered by topic and channel`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let (consumer, producer) = try Self.talk(with: nsqd, topic)
        func stats(_ query: String) throws -> [String: Any] {
            try nsqd.get("/stats?format=json&\(query)").json()
        }
        func names(_ query: String) throws -> [String]? {
            (try stats(query)["topics"] as? [[String: Any]])?.compactMap {
                $0["topic_name"] as? String
            }
        }
        #expect(try names("topic=\(topic)") == [topic])
        #expect(try names("topic=\(topic)&channel=c") == [topic])
        #expect(try names("topic=\(topic)&channel=other") == [])
        // The value is null, not an empty list.
        #expect(try names("topic=\(HTTPProbe.freshName())") == nil)
        #expect(try stats("include_mem=false")["memory"] == nil)
        #expect(try stats("include_mem=0")["memory"] == nil)
        #expect(try stats("include_mem=maybe")["memory"] != nil)
        let without = try nsqd.get("/stats?format=json&topic=\(topic)&include_clients=false").body
        #expect(without.contains(#""client_count":1,"clients":null"#))
        #expect(without.contains(#""producers":null"#))
        #expect(
            try nsqd.get("/stats?topic=%zz").summary == #"400 {"message":"INVALID_REQUEST"}"#)
        withExtendedLifetime((consumer, producer)) {}
        await nsqd.stop()
    }

    @Test func `are text unless the request asks for JSON`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        _ = try nsqd.post("/topic/create?topic=\(topic)")
        _ = try nsqd.post("/channel/create?topic=\(topic)&channel=c")
        _ = try nsqd.post("/channel/pause?topic=\(topic)&channel=c")
        _ = try nsqd.post("/pub?topic=\(topic)", "x")
        for query in ["", "&format=text", "&format=JSON"] {
            let response = try nsqd.get("/stats?topic=\(topic)\(query)")
            #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
            let lines = response.body.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines[0].hasPrefix("nsqd v1.3.0 (built w/"))
            #expect(lines[1].hasPrefix("start_time 2"))
            #expect(lines[2].hasPrefix("uptime "))
            #expect(Array(lines[3...6]) == ["", "Health: OK", "", "Memory:"])
            #expect(lines[7].hasPrefix("   heap_objects             \t"))
            #expect(response.body.contains("\nTopics:\n   [\(topic)"))
            #expect(
                response.body.contains(
                    "\n   *P [c                        ] depth: 1     be-depth: 0     inflt: 0    "
                        + "def: 0    re-q: 0     timeout: 0     msgs: 1        e2e%: \n"))
        }
        let none = try nsqd.get("/stats?topic=\(HTTPProbe.freshName())&include_mem=false").body
        #expect(none.hasSuffix("\nHealth: OK\n\nTopics: None\n\nProducers: None\n"))
        await nsqd.stop()
    }

    @Test func `contain an empty list if there is no topic`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        #expect(try nsqd.get("/stats?format=json").body.contains(#""topics":[],"memory":"#))
        #expect(try nsqd.get("/stats").body.contains("\nTopics: None\n"))
        await nsqd.stop()
    }

    @Test func `are available in Prometheus' format`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        let (consumer, producer) = try Self.talk(with: nsqd, "t")
        let response = try nsqd.get("/metrics")
        #expect(response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        for line in [
            #"nsqd_info{version="1.3.0"} 1"#,
            #"tally_build_info{version="\#(TallyVersion.current)",nsqd_version="1.3.0"} 1"#,
            #"nsqd_connections{protocol="tcp"} 2"#,
            #"nsqd_connections{protocol="http"} 1"#,
            #"nsqd_topic_messages_total{topic="t"} 3"#, #"nsqd_topic_paused{topic="t"} 0"#,
            #"nsqd_channel_in_flight{topic="t",channel="c"} 1"#,
            #"nsqd_channel_clients{topic="t",channel="c"} 1"#,
            "# TYPE nsqd_channel_requeues_total counter",
        ] {
            #expect(response.body.contains(line + "\n"), "\(line)")
        }
        for path in ["/livez", "/readyz", "/healthz"] { #expect(try nsqd.get(path).body == "OK") }
        withExtendedLifetime((consumer, producer)) {}
        await nsqd.stop()
    }

    /// Connects a producer that publishes three messages, and a consumer that finishes the first and
    /// holds the second.
    private static func talk(
        with nsqd: HTTPProbe, _ topic: String
    ) throws -> (consumer: RawClient, producer: RawClient) {
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask(
            "IDENTIFY", body: #"{"client_id":"me","hostname":"here","user_agent":"test/1"}"#)
        consumer.ask("SUB \(topic) c")
        consumer.tell("RDY 1")
        let producer = try RawClient(to: nsqd.tcpAddress)
        for number in 1...3 { producer.ask("PUB \(topic)", body: "message \(number)") }
        let first = consumer.message()
        consumer.tell("FIN \(first.id)")
        _ = consumer.message()
        return (consumer, producer)
    }
}
