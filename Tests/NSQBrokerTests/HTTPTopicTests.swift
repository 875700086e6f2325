import TestKit
import TestTraits
import Testing

/// NSQ documentation, “nsqd”, HTTP API: `/topic/…` and `/channel/…`.
@Suite(.blocking) struct `Topics and channels over HTTP` {
    private static func failure(_ status: Int, _ code: String) -> String {
        "\(status) {\"message\":\"\(code)\"}"
    }

    @Test func `are created, paused, emptied and deleted with empty responses`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        func did(_ action: String, _ channel: String? = nil) throws -> Bool {
            let target =
                channel.map { "/channel/\(action)?topic=\(topic)&channel=\($0)" }
                ?? "/topic/\(action)?topic=\(topic)"
            let response = try nsqd.post(target)
            return response.status == 200 && response.body.isEmpty
                && response.headers["content-length"] == "0"
                && response.headers["x-nsq-content-type"] == "nsq; version=1.0"
                && response.headers["content-type"] == nil
        }
        // Repeated requests to create and pause have no effect.
        for _ in 1...2 {
            #expect(try did("create"))
            #expect(try did("create", "c%23ephemeral"))
            #expect(try did("pause"))
            #expect(try did("pause", "c%23ephemeral"))
        }
        #expect(try nsqd.topic(topic)?["paused"] as? Bool == true)
        #expect(try nsqd.channel(topic, "c#ephemeral")?["paused"] as? Bool == true)
        _ = try nsqd.post("/pub?topic=\(topic)", "held")
        #expect(try nsqd.topic(topic)?["depth"] as? Int == 1)
        #expect(try did("empty"))
        #expect(try nsqd.topic(topic)?["depth"] as? Int == 0)
        #expect(try did("unpause"))
        #expect(try did("unpause", "c%23ephemeral"))
        #expect(try nsqd.topic(topic)?["paused"] as? Bool == false)
        #expect(try did("empty", "c%23ephemeral"))
        #expect(try did("delete", "c%23ephemeral"))
        #expect(try nsqd.channel(topic, "c#ephemeral") == nil)
        #expect(try did("delete"))
        #expect(try nsqd.topic(topic) == nil)
        await nsqd.stop()
    }

    @Test func `accept names of 1 to 64 characters with an optional #ephemeral suffix`()
        async throws
    {
        let nsqd = try await HTTPProbe.start()
        let long = String(repeating: "x", count: 54)
        let good = [
            "...", "a-Z_0.9", "x%23ephemeral", long + "%23ephemeral", long + long.prefix(10),
        ]
        let bad = [
            "%23ephemeral", long + "x%23ephemeral", long + long.prefix(11), "a%23b", "%C3%BC",
            "a%23ephemeral%23ephemeral", "a%00",
        ]
        for (names, status) in [(good, 200), (bad, 400)] {
            for name in names {
                #expect(try nsqd.post("/topic/create?topic=\(name)").status == status, "\(name)")
                let channel = "/channel/create?topic=...&channel=\(name)"
                #expect(try nsqd.post(channel).status == status, "\(name)")
            }
        }
        await nsqd.stop()
    }

    @Test func `refuse invalid names with nsqd's error codes`() async throws {
        let nsqd = try await HTTPProbe.start()
        let unknown = HTTPProbe.freshName()
        let cases: [(path: String, failure: String)] = [
            ("/topic/create", Self.failure(400, "MISSING_ARG_TOPIC")),
            ("/topic/create?topic=", Self.failure(400, "INVALID_TOPIC")),
            ("/topic/create?topic=%zz", Self.failure(400, "INVALID_REQUEST")),
            (
                "/topic/create?topic=" + String(repeating: "x", count: 65),
                Self.failure(400, "INVALID_TOPIC")
            ),
            ("/topic/empty", Self.failure(400, "MISSING_ARG_TOPIC")),
            ("/topic/empty?topic=a%20b", Self.failure(400, "INVALID_TOPIC")),
            ("/topic/empty?topic=\(unknown)", Self.failure(404, "TOPIC_NOT_FOUND")),
        ]
        for (path, failure) in cases {
            #expect(try nsqd.post(path).summary == failure, "\(path)")
        }
        for action in ["delete", "pause", "unpause"] {
            let path = "/topic/\(action)"
            #expect(try nsqd.post(path).summary == Self.failure(400, "MISSING_ARG_TOPIC"))
            for name in ["", "a%20b", unknown] {
                #expect(
                    try nsqd.post("\(path)?topic=\(name)").summary
                        == Self.failure(404, "TOPIC_NOT_FOUND"))
            }
        }
        await nsqd.stop()
    }

    @Test(arguments: ["create", "delete", "empty", "pause", "unpause"])
    func `check the arguments of channel requests in nsqd's order`(action: String) async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let unknown = HTTPProbe.freshName()
        _ = try nsqd.post("/topic/create?topic=\(topic)")
        let cases: [(query: String, failure: String)] = [
            ("?x;y", Self.failure(400, "INVALID_REQUEST")),
            ("", Self.failure(400, "MISSING_ARG_TOPIC")),
            ("?channel=c", Self.failure(400, "MISSING_ARG_TOPIC")),
            ("?topic=a%20b", Self.failure(400, "INVALID_ARG_TOPIC")),
            ("?topic=\(unknown)", Self.failure(400, "MISSING_ARG_CHANNEL")),
            ("?topic=\(unknown)&channel=", Self.failure(400, "INVALID_ARG_CHANNEL")),
            ("?topic=\(unknown)&channel=c", Self.failure(404, "TOPIC_NOT_FOUND")),
        ]
        for (query, failure) in cases {
            #expect(try nsqd.post("/channel/\(action)\(query)").summary == failure, "\(query)")
        }
        let response = try nsqd.post("/channel/\(action)?topic=\(topic)&channel=c")
        if action == "create" {
            #expect(response.status == 200)
        } else {
            #expect(response.summary == Self.failure(404, "CHANNEL_NOT_FOUND"))
        }
        await nsqd.stop()
    }

    @Test func `disconnect their consumers when they are deleted`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB \(topic) c")
        _ = try nsqd.post("/channel/delete?topic=\(topic)&channel=c")
        #expect(consumer.socket.receiveAll().isEmpty)
        await nsqd.stop()
    }
}
