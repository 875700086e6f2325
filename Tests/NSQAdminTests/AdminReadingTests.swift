import Foundation
import NSQAdmin
import NSQBroker
import NSQClient
import NSQTesting
import TestKit
import TestTraits
import Testing

/// nsqadmin's routes that read, with our nsqadmin or the one of `NSQADMIN_PROGRAM`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `The HTTP API of nsqadmin` {
    private func publish(_ count: Int, to topic: String, at node: TestBroker) throws {
        let address = try #require(node.embedded.httpAddress)
        for number in 0..<count {
            let response = try ReceivedResponse(
                to: "POST", "/pub?topic=\(topic)", at: address, body: "message \(number)".utf8)
            #expect(response.status == 200)
        }
    }

    @Test func `responds to a ping with OK`() async throws {
        try await withAdmin(brokers: 1) { admin, _ async throws in
            let response = try admin.get("/ping")
            #expect(response.summary == "200 OK")
            #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
        }
    }

    @Test(arguments: [
        ("GET", "/nope", #"404 {"message":"NOT_FOUND"}"#),
        ("GET", "/api/topics/a/b/c", #"404 {"message":"NOT_FOUND"}"#),
        ("GET", "/api/nodes/a/b", #"404 {"message":"NOT_FOUND"}"#),
        ("PATCH", "/api/topics", #"405 {"message":"METHOD_NOT_ALLOWED"}"#),
        ("PATCH", "/api/topics/a", #"405 {"message":"METHOD_NOT_ALLOWED"}"#),
        ("OPTIONS", "/api/topics/a/b", "200 "),
        (
            "GET", "/API/topics/",
            #"301 <a href="/api/topics">Moved Permanently</a>."# + "\n\n"
        ),
        ("GET", "/api/nodes/127.0.0.1:1", #"404 {"message":"NODE_NOT_FOUND"}"#),
        ("GET", "/api/topics", #"200 {"topics":null,"message":""}"#),
        ("GET", "/api/topics?inactive=true", #"200 {"topics":{},"message":""}"#),
        ("GET", "/api/counter", #"200 {"stats":{},"message":""}"#),
        ("GET", "/api/graphite", #"400 {"message":"INVALID_ARG_METRIC"}"#),
        ("GET", "/api/graphite?metric=rate", #"400 {"message":"INVALID_ARG_TARGET"}"#),
        ("GET", "/api/graphite?metric=rate&target=x", #"500 {"message":"INTERNAL_ERROR"}"#),
        ("GET", "/config/nope", #"400 {"message":"INVALID_OPTION"}"#),
        ("GET", "/config/log_level", "200 2"),
        ("GET", "/config/statsd_interval", "200 60000000000"),
        ("GET", "/config/proxy_graphite", "200 false"),
        ("GET", "/config/admin_users", "200 []"),
        ("PUT", "/config/log_level", #"413 {"message":"INVALID_VALUE"}"#),
    ])
    func `responds to a request without topics`(
        method: String, target: String, response: String
    ) async throws {
        try await withAdmin(brokers: 1) { admin, _ async throws in
            let received = try admin.send(method, target)
            #expect(received.summary == response)
        }
    }

    @Test(arguments: [0, 1])
    func `sums up a topic over its nodes`(lookupds: Int) async throws {
        try await withAdmin(lookupds: lookupds) { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            try publish(3, to: "plays", at: cluster.nodes[0])
            try publish(4, to: "plays", at: cluster.nodes[1])
            #expect(
                admin.waits(for: "/api/topics/plays") {
                    $0["message_count"] as? Int == 7 && ($0["nodes"] as? [Any])?.count == 2
                })
            let topic = try admin.json("/api/topics/plays")
            #expect(topic["node"] as? String == "*")
            #expect(topic["topic_name"] as? String == "plays")
            #expect(topic["paused"] as? Bool == false)
            #expect(topic["message"] as? String == "")
            let counts = (topic["nodes"] as? [[String: Any]])?.compactMap {
                $0["message_count"] as? Int
            }
            #expect(counts?.sorted() == [3, 4])
            let channels = try #require(topic["channels"] as? [[String: Any]])
            #expect(channels.map { $0["channel_name"] as? String } == ["counts"])
            #expect(channels[0]["depth"] as? Int == 7)
            #expect(channels[0]["memory_depth"] as? Int == 7)
            #expect(channels[0]["backend_depth"] as? Int == 0)
            let latency = try #require(topic["e2e_processing_latency"] as? [String: Any])
            #expect(latency["count"] as? Int == 0)
            #expect(latency["percentiles"] is NSNull)
            #expect(latency["host"] as? String == "*")
        }
    }

    @Test func `sums up a channel over its nodes, with its consumers`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            try publish(3, to: "plays", at: cluster.nodes[0])
            try publish(4, to: "plays", at: cluster.nodes[1])
            let consumer = try cluster.consumer(topic: "plays", channel: "counts")
            try await consumer.connected()
            #expect(
                admin.waits(for: "/api/topics/plays/counts") {
                    $0["client_count"] as? Int == 2 && $0["message_count"] as? Int == 7
                })
            let channel = try admin.json("/api/topics/plays/counts")
            #expect(channel["node"] as? String == "*")
            #expect(channel["hostname"] as? String == "")
            #expect((channel["nodes"] as? [Any])?.count == 2)
            let clients = try #require(channel["clients"] as? [[String: Any]])
            #expect(clients.count == 2)
            #expect(Set(clients.compactMap { $0["node"] as? String }).count == 2)
            #expect(clients[0]["version"] as? String == "V2")
            #expect(clients[0]["connected"] as? Int ?? -1 >= 0)
            #expect(
                try admin.get("/api/topics/plays/unknown").summary == #"200 {"message":""}"#)
        }
    }

    @Test func `lists the nodes and describes one`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let addresses = cluster.nodes.compactMap(\.embedded.httpAddress)
            #expect(
                admin.waits(for: "/api/nodes") { json in
                    let nodes = json["nodes"] as? [[String: Any]] ?? []
                    return nodes.count == 2
                        && nodes.allSatisfy { ($0["topics"] as? [Any])?.count == 1 }
                })
            let json = try admin.json("/api/nodes")
            let nodes = try #require(json["nodes"] as? [[String: Any]])
            let lookupd = cluster.lookupdAddresses[0]
            for node in nodes {
                #expect(node["broadcast_address"] as? String == "127.0.0.1")
                #expect(node["version"] as? String == "1.3.0")
                #expect(node["out_of_date"] as? Bool == false)
                let peer = try #require(node["remote_address"] as? String)
                #expect(node["remote_addresses"] as? [String] == ["\(lookupd)/\(peer)"])
                let topics = node["topics"] as? [[String: Any]]
                #expect(topics?.first?["topic"] as? String == "plays")
                #expect(topics?.first?["tombstoned"] as? Bool == false)
            }
            try publish(5, to: "plays", at: cluster.nodes[1])
            let node = try admin.json("/api/nodes/\(addresses[1])")
            #expect(node["node"] as? String == addresses[1])
            #expect(node["total_messages"] as? Int == 5)
            #expect(node["total_clients"] as? Int == 0)
            #expect((node["topics"] as? [[String: Any]])?.first?["depth"] as? Int == 0)
        }
    }

    @Test func `counts the messages of each channel and node`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            try publish(2, to: "plays", at: cluster.nodes[0])
            let addresses = cluster.nodes.compactMap(\.embedded.httpAddress)
            let key = "plays:counts:\(addresses[0])"
            #expect(
                admin.waits(for: "/api/counter") { json in
                    let stats = json["stats"] as? [String: [String: Any]] ?? [:]
                    return stats.count == 2 && stats[key]?["message_count"] as? Int == 2
                })
        }
    }

    @Test func `returns what it has with a warning if one server fails`() async throws {
        let silent = "127.0.0.1:1"
        try await withAdmin({ $0.lookupds.append(silent) }) { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            #expect(
                admin.waits(for: "/api/topics") { $0["topics"] as? [String] == ["plays"] }
            )
            for target in ["/api/topics", "/api/topics/plays", "/api/nodes", "/api/counter"] {
                let warning = try #require(try admin.json(target)["message"] as? String)
                #expect(warning.hasPrefix("WARNING: Get \"http://127.0.0.1:1/"), "\(target)")
            }
        }
    }

    @Test(arguments: [
        ("/api/topics", "nsqlookupd"), ("/api/topics/plays", "nsqlookupd"),
        ("/api/topics/plays/counts", "nsqlookupd"), ("/api/nodes", "nsqlookupd"),
        ("/api/nodes/127.0.0.1:1", "nsqlookupd"), ("/api/counter", "nsqlookupd"),
    ])
    func `responds with 502 if no server can be reached`(
        target: String, kind: String
    ) async throws {
        let admin = try await AdminProbe.start { $0.lookupds = ["127.0.0.1:1"] }
        let response = try admin.get(target)
        #expect(response.status == 502)
        let text = "UPSTREAM_ERROR: failed to query any \(kind): Get \"http://127.0.0.1:1/"
        #expect((try response.json()["message"] as? String)?.hasPrefix(text) == true)
        await admin.stop()
    }

    @Test func `responds with 502 for an unknown topic`() async throws {
        try await withAdmin { admin, _ async throws in
            let message =
                #"UPSTREAM_ERROR: failed to query any nsqlookupd: got response 404 Not Found "#
                + #""{\"message\":\"TOPIC_NOT_FOUND\"}""#
            for target in ["/api/topics/plays", "/api/topics/plays/counts"] {
                let response = try admin.get(target)
                #expect(response.status == 502)
                #expect(try response.json()["message"] as? String == message)
            }
        }
        try await withAdmin(lookupds: 0) { admin, _ async throws in
            #expect(
                try admin.get("/api/topics/plays").summary
                    == #"502 {"message":"UPSTREAM_ERROR: failed to query any nsqd: "}"#)
        }
    }

    @Test func `has all routes below the base path`() async throws {
        try await withAdmin(brokers: 1, { $0.basePath = "/queues/" }) { admin, _ async throws in
            #expect(try admin.get("/queues/ping").summary == "200 OK")
            #expect(try admin.get("/queues/api/topics").status == 200)
            for target in ["/ping", "/api/topics", "/queuesapi/topics"] {
                #expect(try admin.get(target).status == 404)
            }
        }
    }

    @Test func `asks Graphite for the rate of a statistic`() async throws {
        let graphite = try BlockingListener()
        try await withAdmin(
            brokers: 1, { $0.graphite.url = "http://\(graphite.address)" }
        ) { admin, _ async throws in
            let answer = Task.detached {
                let socket = try graphite.accept()
                let request = socket.receiveRequest()
                socket.respond(#"[{"target":"x","datapoints":[[90.0,1],[2.0,2]]}]"#)
                return request.head[0]
            }
            let response = try admin.get("/api/graphite?metric=rate&target=sum(a.b)")
            #expect(response.summary == #"200 {"rate":"1.50"}"#)
            let query = "format=json&from=-120sec&target=sum%28a.b%29&until=-60sec"
            #expect(try await answer.value == "GET /render?\(query) HTTP/1.1")
        }
    }
}
