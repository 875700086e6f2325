import Foundation
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQLookup

/// NSQ documentation, “nsqlookupd”, HTTP Interface. The tests run with our nsqlookupd, or with the one
/// that `NSQLOOKUPD_PROGRAM` names.
@Suite(.blocking) struct `The HTTP API of nsqlookupd` {
    @Test func `responds to a ping with OK`() async throws {
        let lookupd = try await LookupProbe.start()
        let response = try lookupd.get("/ping")
        #expect(response.summary == "200 OK")
        #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
        #expect(response.headers["x-nsq-content-type"] == nil)
        let info = try lookupd.get("/info")
        #expect(info.summary.hasPrefix(#"200 {"version":"1.3.0""#))
        #expect(info.headers["content-type"] == "application/json; charset=utf-8")
        #expect(info.headers["x-nsq-content-type"] == "nsq; version=1.0")
        await lookupd.stop()
    }

    @Test(arguments: [
        ("POST", "/topic/create", #"400 {"message":"MISSING_ARG_TOPIC"}"#),
        ("POST", "/topic/create?topic=a$", #"400 {"message":"INVALID_ARG_TOPIC"}"#),
        ("POST", "/topic/create?topic=%zz", #"400 {"message":"INVALID_REQUEST"}"#),
        ("POST", "/topic/create?topic=a;b", #"400 {"message":"INVALID_REQUEST"}"#),
        ("POST", "/topic/delete", #"400 {"message":"MISSING_ARG_TOPIC"}"#),
        ("POST", "/topic/delete?topic=unknown", "200 "),
        ("POST", "/topic/delete?topic=a$", "200 "),
        ("POST", "/channel/create?channel=x", #"400 {"message":"MISSING_ARG_TOPIC"}"#),
        ("POST", "/channel/create?topic=a$", #"400 {"message":"INVALID_ARG_TOPIC"}"#),
        ("POST", "/channel/create?topic=a", #"400 {"message":"MISSING_ARG_CHANNEL"}"#),
        ("POST", "/channel/create?topic=a&channel=?", #"400 {"message":"INVALID_ARG_CHANNEL"}"#),
        ("POST", "/channel/delete?topic=a&channel=x", #"404 {"message":"CHANNEL_NOT_FOUND"}"#),
        ("POST", "/topic/tombstone", #"400 {"message":"MISSING_ARG_TOPIC"}"#),
        ("POST", "/topic/tombstone?topic=a", #"400 {"message":"MISSING_ARG_NODE"}"#),
        ("POST", "/topic/tombstone?topic=a&node=b:1", "200 "),
        ("GET", "/lookup", #"400 {"message":"MISSING_ARG_TOPIC"}"#),
        ("GET", "/lookup?topic=", #"404 {"message":"TOPIC_NOT_FOUND"}"#),
        ("GET", "/lookup?topic=*", #"404 {"message":"TOPIC_NOT_FOUND"}"#),
        ("GET", "/channels", #"400 {"message":"MISSING_ARG_TOPIC"}"#),
        ("GET", "/channels?topic=unknown", #"200 {"channels":[]}"#),
        ("GET", "/topics", #"200 {"topics":[]}"#),
        ("GET", "/nodes", #"200 {"producers":[]}"#),
        ("GET", "/debug", "200 {}"),
        ("GET", "/nope", #"404 {"message":"NOT_FOUND"}"#),
        ("GET", "/topic/create?topic=a", #"405 {"message":"METHOD_NOT_ALLOWED"}"#),
        ("PUT", "/lookup?topic=a", #"405 {"message":"METHOD_NOT_ALLOWED"}"#),
        ("OPTIONS", "/lookup", "200 "),
        ("GET", "/NODES/", #"301 <a href="/nodes">Moved Permanently</a>."# + "\n\n"),
    ])
    func `responds to a request without registrations`(
        method: String, target: String, response: String
    ) async throws {
        let lookupd = try await LookupProbe.start()
        #expect(
            try ReceivedResponse(to: method, target, at: lookupd.httpAddress).summary == response)
        await lookupd.stop()
    }

    @Test func `creates and deletes topics and channels`() async throws {
        let lookupd = try await LookupProbe.start()
        #expect(try lookupd.post("/topic/create?topic=a").summary == "200 ")
        #expect(try lookupd.post("/channel/create?topic=b&channel=x").summary == "200 ")
        #expect(try lookupd.names("topics", "/topics") == ["a", "b"])
        #expect(
            try lookupd.get("/lookup?topic=b").summary == #"200 {"channels":["x"],"producers":[]}"#)
        #expect(try lookupd.get("/channels?topic=*").summary == #"200 {"channels":["x"]}"#)
        #expect(try lookupd.post("/channel/delete?topic=b&channel=x").summary == "200 ")
        #expect(try lookupd.get("/channels?topic=b").summary == #"200 {"channels":[]}"#)
        #expect(try lookupd.post("/channel/create?topic=b&channel=y").summary == "200 ")
        #expect(try lookupd.post("/topic/delete?topic=b").summary == "200 ")
        #expect(try lookupd.names("topics", "/topics") == ["a"])
        #expect(try lookupd.get("/channels?topic=b").summary == #"200 {"channels":[]}"#)
        await lookupd.stop()
    }

    @Test func `returns what nsqds report about themselves`() async throws {
        let lookupd = try await LookupProbe.start()
        let nsqd = try lookupd.nsqd("10.0.0.7", http: 4251)
        #expect(nsqd.ask("REGISTER plays counts") == "OK")
        let info =
            #"{"remote_address":"\#(nsqd.address)","hostname":"h","broadcast_address":"10.0.0.7","#
            + #""tcp_port":4150,"http_port":4251,"version":"1.3.0""#
        #expect(
            try lookupd.get("/lookup?topic=plays").body
                == #"{"channels":["counts"],"producers":[\#(info)}]}"#)
        #expect(
            try lookupd.get("/nodes").body
                == #"{"producers":[\#(info),"tombstones":[false],"topics":["plays"]}]}"#)
        await lookupd.stop()
    }

    @Test func `lists all registrations for debugging`() async throws {
        let lookupd = try await LookupProbe.start()
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("REGISTER plays counts") == "OK")
        #expect(try lookupd.post("/topic/create?topic=empty").status == 200)
        let body = try lookupd.get("/debug").body
        #expect(
            try jsonObject(in: body.utf8).keys.sorted() == [
                "channel:plays:counts", "client::", "topic:plays:",
            ])
        let parts = body.split(separator: "[{").dropFirst()
        #expect(parts.count == 3)
        for part in parts {
            let start =
                #""broadcast_address":"127.0.0.1","hostname":"h","http_port":4151,"#
                + #""id":"\#(nsqd.address)","last_update":"#
            #expect(part.hasPrefix(start))
            let rest =
                #","tcp_port":4150,"tombstoned":false,"tombstoned_at":-6795364578871345152,"#
                + #""version":"1.3.0"}"#
            #expect(part.contains(rest))
        }
        await lookupd.stop()
    }

    @Test func `does not list a tombstoned nsqd until the lifetime has passed`() async throws {
        let lookupd = try await LookupProbe.start(clock: .manual) {
            $0.limits.tombstoneLifetime = .seconds(2)
        }
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("REGISTER plays") == "OK")
        #expect(nsqd.ask("REGISTER other") == "OK")
        #expect(try lookupd.post("/topic/tombstone?topic=plays&node=127.0.0.1:1").status == 200)
        #expect(try lookupd.producers("/lookup?topic=plays").count == 1)
        #expect(try lookupd.post("/topic/tombstone?topic=plays&node=127.0.0.1:4151").status == 200)
        #expect(try lookupd.producers("/lookup?topic=plays").isEmpty)
        #expect(try lookupd.producers("/lookup?topic=other").count == 1)
        let node = try #require(try lookupd.producers("/nodes").first)
        let tombstones = Dictionary(
            uniqueKeysWithValues: zip(
                node["topics"] as? [String] ?? [], node["tombstones"] as? [Bool] ?? []))
        #expect(tombstones == ["plays": true, "other": false])
        try await lookupd.advance(by: .seconds(2.1))
        #expect(try lookupd.producers("/lookup?topic=plays").count == 1)
        await lookupd.stop()
    }

    @Test func `does not list an nsqd without a recent ping`() async throws {
        let lookupd = try await LookupProbe.start(clock: .manual) {
            $0.limits.inactiveProducerTimeout = .seconds(2)
        }
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("REGISTER plays") == "OK")
        #expect(try lookupd.producers("/nodes").count == 1)
        try await lookupd.advance(by: .seconds(2.1))
        #expect(try lookupd.producers("/nodes").isEmpty)
        #expect(try lookupd.producers("/lookup?topic=plays").isEmpty)
        #expect(nsqd.ask("PING") == "OK")
        #expect(try lookupd.producers("/lookup?topic=plays").count == 1)
        await lookupd.stop()
    }

    @Test func `deletes every topic if the name is an asterisk`() async throws {
        let lookupd = try await LookupProbe.start()
        for name in ["a", "b"] {
            #expect(try lookupd.post("/channel/create?topic=\(name)&channel=x").status == 200)
        }
        #expect(try lookupd.post("/topic/delete?topic=*").summary == "200 ")
        #expect(try lookupd.get("/topics").body == #"{"topics":[]}"#)
        await lookupd.stop()
    }
}

@Suite(.blocking, .ours("the original has none of it"))
struct `The additional HTTP API of nsqlookupd` {
    @Test func `returns metrics for Prometheus`() async throws {
        let lookupd = try await LookupProbe.startOwn()
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("REGISTER plays counts") == "OK")
        let response = try lookupd.get("/metrics")
        #expect(response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        for line in [
            "nsqlookupd_topics 1", "nsqlookupd_channels 1", "nsqlookupd_registrations 4",
            #"nsqlookupd_producers{state="active"} 1"#,
            #"nsqlookupd_connections{protocol="tcp"} 1"#,
        ] {
            #expect(response.body.contains("\n\(line)\n"), "\(line)")
        }
        #expect(try lookupd.get("/healthz").summary == "200 OK")
        await lookupd.stop()
    }

    @Test(arguments: ["Sec-Fetch-Site: cross-site", "Origin: http://evil.example"])
    func `changes nothing for the page of another site`(header: String) async throws {
        let lookupd = try await LookupProbe.startOwn()
        for target in [
            "/topic/create?topic=a", "/topic/delete?topic=*", "/channel/create?topic=a&channel=x",
            "/topic/tombstone?topic=a&node=b:1",
        ] {
            let response = try ReceivedResponse(
                to: "POST", target, at: lookupd.httpAddress, headers: "\(header)\r\n")
            #expect(response.summary == #"403 {"message":"FOREIGN_ORIGIN"}"#)
        }
        #expect(try lookupd.get("/topics").body == #"{"topics":[]}"#)
        await lookupd.stop()
    }

    @Test func `answers on a loopback address only under loopback and configured names`()
        async throws
    {
        let lookupd = try await LookupProbe.startOwn {
            $0.httpHosts = ["lookup.example"]
            $0.broadcastAddress = "worker7"
        }
        func status(_ host: String) throws -> Int {
            try ReceivedResponse(
                to: "GET", "/ping", at: lookupd.httpAddress, headers: "Host: \(host)\r\n"
            )
            .status
        }
        for host in ["127.0.0.1:4161", "localhost", "lookup.example:80", "worker7"] {
            #expect(try status(host) == 200)
        }
        #expect(try status("evil.example") == 421)
        await lookupd.stop()
    }
}
