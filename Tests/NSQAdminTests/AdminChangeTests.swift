import Foundation
import NSQAdmin
import NSQBroker
import NSQClient
import NSQTesting
import TestKit
import TestTraits
import Testing

/// nsqadmin's routes that change something, with our nsqadmin or the one of `NSQADMIN_PROGRAM`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `The changes of nsqadmin` {
    private let done = #"200 {"message":""}"#

    @Test func `create topics and channels at nsqlookupds and nsqds`() async throws {
        try await withAdmin { admin, cluster async throws in
            #expect(try admin.send("POST", "/api/topics", #"{"topic":"new"}"#).summary == done)
            #expect(try admin.json("/api/topics")["topics"] as? [String] == ["new"])
            let inactive = try admin.get("/api/topics?inactive=true").summary
            #expect(inactive == #"200 {"topics":{"new":null},"message":""}"#)
            try await cluster.createChannel("other", of: "plays")
            #expect(
                admin.waits(for: "/api/topics/plays") {
                    ($0["nodes"] as? [Any])?.count == 2
                })
            let body = #"{"topic":"plays","channel":"counts"}"#
            #expect(try admin.send("POST", "/api/topics", body).summary == done)
            let topic = try admin.json("/api/topics/plays")
            let channels = (topic["channels"] as? [[String: Any]])?.compactMap {
                $0["channel_name"] as? String
            }
            #expect(channels?.sorted() == ["counts", "other"])
        }
    }

    @Test(arguments: ["pause", "unpause", "empty"])
    func `pause, unpause and empty a topic or a channel at all nodes`(
        action: String
    ) async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            for node in cluster.nodes {
                let address = try #require(node.embedded.httpAddress)
                _ = try ReceivedResponse(
                    to: "POST", "/pub?topic=plays", at: address, body: "text".utf8)
            }
            #expect(
                admin.waits(for: "/api/topics/plays/counts") { $0["depth"] as? Int == 2 })
            let body = #"{"action":"\#(action)"}"#
            for target in ["/api/topics/plays", "/api/topics/plays/counts"] {
                #expect(try admin.send("POST", target, body).summary == done)
                let json = try admin.json(target)
                #expect(json["paused"] as? Bool == (action == "pause"))
            }
            let channel = try admin.json("/api/topics/plays/counts")
            #expect(channel["depth"] as? Int == (action == "empty" ? 0 : 2))
        }
    }

    @Test func `delete a channel and then its topic everywhere`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            #expect(
                admin.waits(for: "/api/topics/plays") {
                    ($0["channels"] as? [Any])?.count == 1 && ($0["nodes"] as? [Any])?.count == 2
                })
            #expect(try admin.send("DELETE", "/api/topics/plays/counts").summary == done)
            #expect(
                admin.waits(for: "/api/topics/plays") { $0["channels"] is NSNull })
            #expect(try admin.send("DELETE", "/api/topics/plays").summary == done)
            #expect(
                admin.waits(for: "/api/topics") { $0["topics"] is NSNull })
        }
    }

    @Test func `tombstone a node, which deletes the topic there`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            #expect(
                admin.waits(for: "/api/topics/plays") {
                    ($0["nodes"] as? [Any])?.count == 2
                })
            let node = try #require(cluster.nodes[0].embedded.httpAddress)
            let response = try admin.send("DELETE", "/api/nodes/\(node)", #"{"topic":"plays"}"#)
            #expect(response.summary == done)
            let topic = try admin.json("/api/topics/plays")
            let nodes = (topic["nodes"] as? [[String: Any]])?.compactMap { $0["node"] as? String }
            let other = try #require(cluster.nodes[1].embedded.httpAddress)
            #expect(nodes == [other])
        }
    }

    @Test(arguments: [
        ("POST", "/api/topics", "", #"400 {"message":"EOF"}"#),
        ("POST", "/api/topics", "null", #"400 {"message":"INVALID_TOPIC"}"#),
        ("POST", "/api/topics", #"{"topic":"a$"}"#, #"400 {"message":"INVALID_TOPIC"}"#),
        (
            "POST", "/api/topics", #"{"topic":"a","channel":"$"}"#,
            #"400 {"message":"INVALID_CHANNEL"}"#
        ),
        ("POST", "/api/topics", #"{"TOPIC":"a"}"#, #"200 {"message":""}"#),
        ("POST", "/api/topics/a", #"{"action":"x"}"#, #"400 {"message":"INVALID_ACTION"}"#),
        ("POST", "/api/topics/a/b", "{}", #"400 {"message":"INVALID_ACTION"}"#),
        ("DELETE", "/api/nodes/127.0.0.1:1", "x", #"400 {"message":"INVALID_BODY"}"#),
        (
            "DELETE", "/api/nodes/127.0.0.1:1", #"{"topic":"$"}"#,
            #"400 {"message":"INVALID_TOPIC"}"#
        ),
    ])
    func `are refused with nsqadmin's text if they are invalid`(
        method: String, target: String, body: String, response: String
    ) async throws {
        try await withAdmin(brokers: 1) { admin, _ async throws in
            #expect(try admin.send(method, target, body).summary == response)
        }
    }

    @Test(arguments: ["x", #"{"topic":3}"#, "[]", #"{"topic":"a""#])
    func `are refused if the body is not an object with texts`(body: String) async throws {
        try await withAdmin(brokers: 1) { admin, _ async throws in
            let response = try admin.send("POST", "/api/topics", body)
            #expect(response.status == 400)
            #expect(try response.json()["message"] as? String != "")
        }
    }

    @Test func `report the nodes at which they fail`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            #expect(
                admin.waits(for: "/api/topics/plays") {
                    ($0["nodes"] as? [Any])?.count == 2
                })
            let error = #"got response 404 Not Found "{\"message\":\"CHANNEL_NOT_FOUND\"}""#
            let response = try admin.send(
                "POST", "/api/topics/plays/unknown", #"{"action":"pause"}"#)
            #expect(response.status == 200)
            #expect(
                try response.json()["message"] as? String == "WARNING: \(error)\n\(error)")
            for (method, target) in [("POST", "/api/topics/nope"), ("DELETE", "/api/topics/nope")] {
                let response = try admin.send(method, target, #"{"action":"pause"}"#)
                #expect(response.status == 502)
                #expect(response.body.contains("TOPIC_NOT_FOUND"))
            }
        }
    }

    @Test func `need a user of the list in the header of the proxy`() async throws {
        try await withAdmin(brokers: 1, { $0.adminUsers = ["ada", "bob"] }) {
            admin, _ async throws in
            let changes = [
                ("POST", "/api/topics", #"{"topic":"a"}"#),
                ("POST", "/api/topics/a", #"{"action":"pause"}"#),
                ("POST", "/api/topics/a/b", #"{"action":"pause"}"#),
                ("DELETE", "/api/topics/a", ""), ("DELETE", "/api/topics/a/b", ""),
                ("DELETE", "/api/nodes/127.0.0.1:1", #"{"topic":"a"}"#),
            ]
            for (method, target, body) in changes {
                for headers in ["", "X-Forwarded-User: eve\r\n", "X-Forwarded-User: \r\n"] {
                    let response = try admin.send(method, target, body, headers: headers)
                    #expect(response.summary == #"403 {"message":"FORBIDDEN"}"#)
                }
            }
            #expect(try admin.json("/api/topics")["topics"] is NSNull)
            let response = try admin.send(
                "POST", "/api/topics", #"{"topic":"a"}"#, headers: "X-Forwarded-User: bob\r\n")
            #expect(response.summary == done)
        }
    }

    @Test func `are posted to the notification endpoint`() async throws {
        let endpoint = try BlockingListener()
        try await withAdmin(
            brokers: 1, { $0.notificationEndpoint = "http://\(endpoint.address)/notes" }
        ) { admin, _ async throws in
            let received = Task.detached {
                try (0..<2).map { _ in
                    let socket = try endpoint.accept()
                    let request = socket.receiveRequest()
                    socket.respond("")
                    return request
                }
            }
            let response = try admin.send(
                "POST", "/api/topics?x=1", #"{"topic":"plays","channel":"counts"}"#,
                headers: "User-Agent: test\r\nAuthorization: Basic YWRhOnB3\r\nHost: localhost\r\n")
            #expect(response.summary == done)
            let requests = try await received.value
            #expect(
                requests.map { $0.head[0] } == ["POST /notes HTTP/1.1", "POST /notes HTTP/1.1"])
            let bodies = try requests.map { try jsonObject(in: $0.body.utf8) }
            let actions = Dictionary(
                uniqueKeysWithValues: bodies.map { ($0["action"] as? String, $0) })
            let channel = try #require(actions["create_channel"])
            #expect(actions["create_topic"]?["channel"] == nil)
            #expect(channel["topic"] as? String == "plays")
            #expect(channel["channel"] as? String == "counts")
            #expect(channel["user"] as? String == "ada")
            #expect(channel["user_agent"] as? String == "test")
            #expect(channel["url"] as? String == "http://localhost/api/topics?x=1")
            #expect((channel["remote_ip"] as? String)?.hasPrefix("127.0.0.1:") == true)
            #expect(channel["via"] as? String != nil)
            #expect(channel["timestamp"] as? Int ?? 0 > 1_600_000_000)
        }
    }

    @Test(.ours("it reports success and does nothing, or fails for a channel"))
    func `create topics and channels at the nsqds if there is no nsqlookupd`() async throws {
        try await withAdmin(lookupds: 0) { admin, _ async throws in
            let body = #"{"topic":"plays","channel":"counts"}"#
            #expect(try admin.send("POST", "/api/topics", #"{"topic":"a"}"#).summary == done)
            #expect(try admin.send("POST", "/api/topics", body).summary == done)
            #expect(try admin.json("/api/topics")["topics"] as? [String] == ["a", "plays"])
        }
    }

    @Test(.ours("it sends requests to them"))
    func `report the nodes whose addresses cannot be used`() async throws {
        let lookupd = try BlockingListener()
        Thread.detachNewThread {
            while let socket = try? lookupd.accept() {
                _ = socket.receiveRequest()
                socket.respond(
                    #"{"topics":[],"producers":[{"broadcast_address":"a\r\nX: y","http_port":1},"#
                        + #"{"broadcast_address":"","http_port":1},{"broadcast_address":"a"}]}"#)
            }
        }
        let admin = try await AdminProbe.startOwn { $0.lookupds = [lookupd.address] }
        let response = try admin.send("POST", "/api/topics/plays", #"{"action":"pause"}"#)
        #expect(response.status == 200)
        let message = try #require(try response.json()["message"] as? String)
        #expect(message.split(separator: "\n").count == 3)
        #expect(message.contains(#"lists the invalid address "[a\r\nX: y]:1""#))
        await admin.stop()
        lookupd.stop()
    }

    @Test(
        .ours("it performs them"), arguments: ["Sec-Fetch-Site: cross-site", "Origin: http://evil"])
    func `are refused if a page of another site requests them`(header: String) async throws {
        try await withAdmin(brokers: 1) { admin, _ async throws in
            for (method, target) in [("POST", "/api/topics"), ("DELETE", "/api/topics/a")] {
                let response = try admin.send(
                    method, target, #"{"topic":"a"}"#, headers: "\(header)\r\n")
                #expect(response.summary == #"403 {"message":"FOREIGN_ORIGIN"}"#)
            }
        }
    }
}

/// `/config`, with our nsqadmin or the one of `NSQADMIN_PROGRAM`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `The configuration of nsqadmin` {
    @Test func `changes the nsqlookupds and the level of the log at run time`() async throws {
        try await withAdmin(brokers: 1) { admin, cluster async throws in
            let name = "/config/nsqlookupd_http_addresses"
            let addresses = "[\"\(cluster.lookupdAddresses[0])\"]"
            #expect(try admin.get(name).summary == "200 \(addresses)")
            #expect(try admin.send("PUT", name, #"["127.0.0.1:1"]"#).body == #"["127.0.0.1:1"]"#)
            #expect(try admin.get("/api/topics").status == 502)
            #expect(try admin.send("PUT", name, addresses).status == 200)
            #expect(try admin.get("/api/topics").status == 200)
            for body in ["{}", "x", "[1]"] {
                #expect(
                    try admin.send("PUT", name, body).summary == #"400 {"message":"INVALID_VALUE"}"#
                )
            }
            #expect(try admin.send("PUT", "/config/log_level", "ERROR").summary == "200 4")
            #expect(
                try admin.send("PUT", "/config/log_level", "loud").summary
                    == #"400 {"message":"INVALID_VALUE"}"#)
            #expect(
                try admin.send("PUT", "/config/base_path", "/x").summary
                    == #"400 {"message":"INVALID_OPTION"}"#)
        }
    }

    @Test(arguments: [("10.0.0.0/8", 403), ("127.0.0.0/24", 200), ("", 200), ("::1/128", 403)])
    func `is open to the addresses of the CIDR option`(range: String, status: Int) async throws {
        try await withAdmin(brokers: 1, { $0.allowConfigFrom = range }) { admin, _ async throws in
            #expect(try admin.get("/config/log_level").status == status)
            #expect(try admin.send("PUT", "/config/log_level", "warn").status == status)
        }
    }
}
