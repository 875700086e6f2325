import Foundation
import HTTP
import NSQBroker
import NSQClient
import NSQTesting
import TallyJSON
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage
@testable import NSQAdmin

/// The pages of our nsqadmin, and the API that only they use.
@Suite(.blocking, .timeLimit(.minutes(15)), .ours("it has other pages"))
struct `The pages of nsqadmin` {
    @Test(arguments: [
        "/", "/topics", "/topics/plays", "/topics/plays%23ephemeral/counts", "/nodes",
        "/nodes/127.0.0.1:4151", "/counter", "/lookup",
    ])
    func `are at the paths of the original, also below a base path`(path: String) async throws {
        for base in ["", "/queues"] {
            try await withAdmin(brokers: 1, { $0.basePath = base }) { admin, _ async throws in
                let page = try admin.get(base + path)
                #expect(page.status == 200)
                #expect(page.headers["content-type"] == "text/html; charset=utf-8")
                #expect(page.headers["content-security-policy"]?.contains("'none'") == true)
                #expect(page.body.contains("href=\"\(base)/topics.css\""))
                #expect(try admin.get("\(base)/topics.js").status == 200)
            }
        }
    }

    @Test(arguments: [
        "topics.css", "topics-logic.js", "topics-list.js", "topics-views.js", "topics-tables.js",
        "topics-charts.js", "topics-actions.js", "topics-messages.js", "topics-failed.js",
        "stream.js", "page.css",
        "videos.svg",
    ])
    func `have files`(name: String) async throws {
        try await withAdmin(brokers: 1) { admin, _ async throws in
            #expect(try admin.get("/\(name)").status == 200)
        }
    }

    @Test func `show topics, channels and nodes from polls`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let consumer = try cluster.consumer(topic: "plays", channel: "counts")
            try await consumer.connected()
            let events = try watch(admin)
            defer { events.close() }
            #expect(
                admin.waits(for: "/api/live/topics") {
                    ($0["topics"] as? [[String: Any]])?.first?["nodes"] as? Int == 2
                })
            let topic = try admin.json("/api/live/topics/plays")
            #expect((topic["nodes"] as? [Any])?.count == 2)
            #expect((topic["channels"] as? [Any])?.count == 1)
            #expect(
                admin.waits(for: "/api/live/topics/plays/counts") {
                    ($0["clients"] as? [Any])?.count == 2
                })
            let nodes = try admin.json("/api/live/nodes")["nodes"] as? [[String: Any]]
            #expect(nodes?.map { $0["reachable"] as? Bool } == [true, true])
            let address = try #require(nodes?.first?["node"] as? String)
            let node = try admin.json("/api/live/nodes/\(address)")
            #expect((node["topics"] as? [[String: Any]])?.first?["name"] as? String == "plays")
            let lookup = try admin.json("/api/live/lookup")
            #expect(lookup["lookupds"] as? [String] == cluster.lookupdAddresses)
            for target in ["topics/x", "topics/plays/x", "nodes/x", "x"] {
                #expect(try admin.get("/api/live/\(target)").status == 404)
            }
            for target in ["topics?sort=x", "topics?limit=0", "topics?after=x", "points?range=x"] {
                #expect(try admin.get("/api/live/\(target)").status == 400)
            }
        }
    }

    @Test func `publish a message, and show the action in the log`() async throws {
        try await withAdmin { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let events = try watch(admin)
            defer { events.close() }
            let target = "/api/live/topics/plays/publish"
            #expect(
                admin.waits(for: "/api/live/topics/plays") {
                    ($0["nodes"] as? [Any])?.count == 2
                })
            let response = try admin.send("POST", target, #"{"message":"text"}"#)
            #expect(response.status == 200)
            #expect(
                admin.waits(for: "/api/topics/plays/counts") { $0["depth"] as? Int == 1 })
            for body in ["", "{}", #"{"message":""}"#, #"{"message":"x","node":"127.0.0.1:1"}"#] {
                #expect(try admin.send("POST", target, body).status == 400)
            }
            var line = ""
            repeat { line = events.receiveLine() } while !line.contains("publish to")
            #expect(line.contains("topic plays at 127.0.0.1:"))
        }
    }

    @Test func `post a published message to the notification endpoint`() async throws {
        let endpoint = try BlockingListener()
        try await withAdmin(
            brokers: 1, { $0.notificationEndpoint = "http://\(endpoint.address)/notes" }
        ) { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let events = try watch(admin)
            defer { events.close() }
            #expect(
                admin.waits(for: "/api/live/topics/plays") { ($0["nodes"] as? [Any])?.count == 1 })
            let response = try admin.send(
                "POST", "/api/live/topics/plays/publish", #"{"message":"text"}"#)
            #expect(response.status == 200)
            let socket = try endpoint.accept()
            let body = try jsonObject(in: socket.receiveRequest().body.utf8)
            socket.respond("")
            #expect(body["action"] as? String == "publish_topic")
            #expect(body["topic"] as? String == "plays")
            #expect(body["node"] as? String == cluster.nodes[0].embedded.httpAddress)
        }
    }

    @Test func `let only admins publish`() async throws {
        try await withAdmin(brokers: 1, { $0.adminUsers = ["ada"] }) { admin, _ async throws in
            let target = "/api/live/topics/plays/publish"
            #expect(try admin.send("POST", target, #"{"message":"x"}"#).status == 403)
            #expect(try admin.json("/api/live/session")["is_admin"] as? Bool == false)
            let header = "X-Forwarded-User: ada\r\n"
            let session = try admin.send("GET", "/api/live/session", headers: header)
            #expect(try session.json()["is_admin"] as? Bool == true)
        }
    }

    @Test func `poll each nsqd once for all browsers`() async throws {
        let nsqd = try CountedNSQD()
        let admin = try await AdminProbe.startOwn { $0.nsqds = [nsqd.address] }
        let browsers = try (0..<5).map { _ in try watch(admin) }
        var polls = 0
        while polls < 4 {
            let line = browsers[0].receiveLine()
            guard let number = line.firstMatch(of: #/"number":(\d+)/#)?.1 else { continue }
            polls = Int(number)!
        }
        // A further poll may have begun.
        #expect(nsqd.statisticsRequests <= polls + 1)
        for browser in browsers { browser.close() }
        await admin.stop()
        nsqd.stop()
    }

    @Test func `report a cluster that cannot be read`() async throws {
        let admin = try await AdminProbe.startOwn { $0.nsqds = ["127.0.0.1:1"] }
        let events = try watch(admin)
        var line = ""
        repeat { line = events.receiveLine() } while !line.contains("failed to query any nsqd")
        #expect(line.contains(#""problem":"failed"#))
        events.close()
        await admin.stop()
    }

    @Test func `end at once while a node accepts connections and does not respond`() async throws {
        let nsqd = try BlockingListener()
        let admin = try await AdminProbe.startOwn {
            $0.nsqds = [nsqd.address]
            $0.requests.requestTimeout = .seconds(300)
        }
        let poll = try nsqd.accept()
        _ = poll.receiveRequest()
        let request = try BlockingSocket(to: admin.address)
        request.send("GET /api/topics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        let further = try nsqd.accept()
        _ = further.receiveRequest()
        let begin = ContinuousClock.now
        await admin.stop()
        #expect(ContinuousClock.now - begin < .seconds(10))
        poll.close()
        further.close()
        request.close()
    }

    /// Connects a browser to the events.
    private func watch(_ admin: AdminProbe) throws -> BlockingSocket {
        let socket = try BlockingSocket(to: admin.address)
        socket.send("GET /api/live/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return socket
    }
}

/// An nsqd without a topic that counts requests for statistics.
private final class CountedNSQD: Sendable {
    private let listener: BlockingListener
    private let count = LockedValue(0)

    init() throws {
        listener = try BlockingListener()
        let (listener, count) = (listener, count)
        Thread.detachNewThread {
            while let socket = try? listener.accept() {
                let line = socket.receiveRequest().head.first ?? ""
                guard line.hasPrefix("GET /stats") else {
                    socket.respond(
                        #"{"version":"1.3.0","broadcast_address":"127.0.0.1","hostname":"h","http_port":\#(listener.port),"tcp_port":1}"#
                    )
                    continue
                }
                count.withLock { $0 += 1 }
                socket.respond(#"{"version":"1.3.0","topics":[]}"#)
            }
        }
    }

    var address: String { listener.address }
    var statisticsRequests: Int { count.withLock { $0 } }
    func stop() { listener.stop() }
}

@Suite struct `The list of topics` {
    private func snapshot(_ count: Int) throws -> [ClusterSnapshot.Topic] {
        let topics = (0..<count).map { number in
            let channel =
                #"{"channel_name":"channel\#(number)","depth":\#(number % 7),"message_count":\#(number)}"#
            return
                #"{"topic_name":"topic\#(number)","depth":0,"message_count":1,"channels":[\#(channel)]}"#
        }
        let text = #"{"topics":[\#(topics.joined(separator: ","))]}"#
        let info = NodeInfo(.object([]))
        let parts = TopicStatistics.topics(
            in: try JSONValue(parsingLikeGo: text.utf8, keptDepth: 8), of: info)
        return ClusterSnapshot(nodes: [info], names: [], parts: parts, reached: [], time: 0).topics
    }

    private func query(_ text: String) throws -> TopicListQuery {
        try TopicListQuery(try #require(HTTPQuery(parsing: text)))
    }

    @Test(arguments: [
        "sort=name", "sort=name&order=descending", "sort=depth", "sort=depth&order=ascending",
        "sort=channels",
    ])
    func `has every topic on exactly one page`(order: String) throws {
        let topics = try snapshot(503)
        var names: [String] = []
        var depths: [Int] = []
        var next: String?
        repeat {
            let after = next.map { "&after=\(PercentCoding.encode($0))" } ?? ""
            let page = try query("\(order)&limit=50\(after)").page(of: topics)
            #expect(page.matching == 503)
            names += page.topics.map(\.name)
            depths += page.topics.map(\.figures.depth)
            next = page.next
        } while next != nil
        #expect(names.count == 503)
        #expect(Set(names).count == 503)
        switch order {
        case "sort=name": #expect(names == names.sorted())
        case "sort=name&order=descending": #expect(names == names.sorted(by: >))
        case "sort=depth": #expect(depths == depths.sorted(by: >))
        case "sort=depth&order=ascending": #expect(depths == depths.sorted())
        default: break
        }
    }

    @Test func `finds topics by parts of their names and of their channels' names`() throws {
        let topics = try snapshot(120)
        #expect(try query("search=TOPIC11").page(of: topics).matching == 11)
        #expect(try query("search=channel7&limit=3").page(of: topics).topics.count == 3)
        #expect(try query("search=nothing").page(of: topics).topics.isEmpty)
    }
}
