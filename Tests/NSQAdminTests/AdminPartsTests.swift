import HTTP
import TallyJSON
import Testing
import UVLoop

@testable import NSQAdmin

@Suite struct `The parts of nsqadmin` {
    @Test(arguments: [
        ("127.0.0.1/8", "127.9.9.9", true), ("127.0.0.1/8", "128.0.0.1", false),
        ("10.1.2.0/23", "10.1.3.255", true), ("10.1.2.0/23", "10.1.4.0", false),
        ("0.0.0.0/0", "1.2.3.4", true), ("127.0.0.1/8", "::ffff:127.0.0.1", true),
        ("fe80::/10", "febf::1", true), ("fe80::/10", "fec0::1", false),
        ("127.0.0.1/8", "::1", false), ("127.0.0.1/8", "nonsense", false),
    ])
    func `know whether a range has an address`(range: String, address: String, isIn: Bool) throws {
        #expect(try #require(AddressRange(range)).contains(address) == isIn)
    }

    @Test(arguments: ["", "x", "127.0.0.1", "127.0.0.1/33", "127.0.0.1/-1", "127.0.0.1/8/8", "/8"])
    func `refuse a text that is not a range`(text: String) {
        #expect(AddressRange(text) == nil)
    }

    @Test func `compare versions of programs`() {
        let ordered = ["nonsense", "0.3.8", "1.2.1", "1.3.0-alpha", "1.3.0", "1.10.0"]
        for (index, version) in ordered.enumerated().dropFirst() {
            #expect(ProgramVersion(ordered[index - 1]) < ProgramVersion(version))
        }
    }

    private func node(_ percentiles: String, count: Int) throws -> LatencyPercentiles {
        LatencyPercentiles(
            try JSONValue(
                parsingLikeGo: #"{"count":\#(count),"percentiles":\#(percentiles)}"#.utf8,
                keptDepth: 3))
    }

    @Test func `average percentiles by the number of messages`() throws {
        var sum = LatencyPercentiles()
        sum.add(try node(#"[{"quantile":1,"value":400},{"quantile":0.5,"value":100}]"#, count: 30))
        sum.add(try node(#"[{"quantile":0.5,"value":200},{"quantile":1,"value":800}]"#, count: 10))
        sum.add(try node("null", count: 0))
        let entries = try #require(sum.entries)
        #expect(sum.count == 40)
        #expect(entries.map(\.quantile) == [1, 0.5])
        #expect(entries.map(\.average) == [500, 125])
        #expect(entries.map(\.min) == [400, 100])
        #expect(entries.map(\.max) == [800, 200])
        #expect(entries.allSatisfy { $0.count == 40 && $0.value == nil })
    }

    private func info() throws -> NodeInfo {
        NodeInfo(
            try JSONValue(
                parsingLikeGo:
                    #"{"broadcast_address":"a","http_port":4151,"hostname":"h","version":"1.3.0"}"#
                    .utf8, keptDepth: 2))
    }

    @Test func `ignore repeated topics and channels of a node, and infinite percentiles`() throws {
        let latency =
            #"{"count":1,"percentiles":[{"quantile":1,"value":SIGN1e308},{"quantile":0.5,"value":1e999}]}"#
        let channels = #"[{"channel_name":"c","depth":1},{"channel_name":"c","depth":5}]"#
        func topic(_ sign: String) -> String {
            let latency = latency.replacing("SIGN", with: sign)
            return
                #"{"topic_name":"t","message_count":7,"channels":\#(channels),"e2e_processing_latency":\#(latency)}"#
        }
        let parts = try ["", "-"].flatMap { sign in
            let text = #"{"topics":[\#(topic(sign)),{"topic_name":"t","message_count":9}]}"#
            return TopicStatistics.topics(
                in: try JSONValue(parsingLikeGo: text.utf8, keptDepth: 8), of: try info())
        }
        let sum = TopicStatistics(sumOf: parts, name: "t")
        #expect(sum.messageCount == 14)
        #expect(sum.channels.map(\.depth) == [2])
        #expect(throws: Never.self) {
            try JSONValue(
                parsingStrictly: AdminJSON.topic(sum, [], now: 0), maxDepth: 20)
        }
    }

    /// The sum of 1,000 of these responses does not overflow.
    @Test func `bound every number and ignore every wrong type of a node`() throws {
        let text = #"""
            {"topics":[
              {"topic_name":"plays","depth":9223372036854775807,"backend_depth":-9223372036854775808,
               "message_count":1e300,"paused":"yes","channels":[
                {"channel_name":"counts","depth":"x","clients":[{"connect_ts":-9223372036854775808},3]},
                {"channel_name":"<script>"},{"channel_name":7},null]},
              {"topic_name":"bad name"},{"topic_name":null},7,{"channels":[]}]}
            """#
        let json = try JSONValue(parsingLikeGo: text.utf8, keptDepth: 8)
        let topics = TopicStatistics.topics(in: json, of: try info())
        #expect(topics.map(\.name) == ["plays"])
        #expect(topics[0].channels.map(\.name) == ["counts"])
        #expect(topics[0].channels[0].depth == 0)
        let sum = TopicStatistics(
            sumOf: Array(repeating: topics[0], count: ClusterReader.maxNodes), name: "plays")
        #expect(sum.depth == ClusterReader.maxNodes << 52)
        #expect(sum.memoryDepth == ClusterReader.maxNodes << 53)
        #expect(sum.channels[0].clients?.count == 2 * ClusterReader.maxNodes)
        let response = AdminJSON.channel(sum.channels[0], [], now: 1_700_000_000)
        #expect(throws: Never.self) {
            try JSONValue(parsingStrictly: response, maxDepth: 20)
        }
    }

    /// One nsqd can send any number of topics and channels, so no sum may overflow.
    @Test func `survive the largest numbers in thousands of topics and channels`() throws {
        let large = 1 << 52
        let counters =
            #""depth":\#(large),"backend_depth":-\#(large),"message_count":\#(large),"in_flight_count":\#(large),"deferred_count":\#(large),"zone_local_msg_count":\#(large),"client_count":\#(large),"e2e_processing_latency":{"count":\#(large),"percentiles":[{"quantile":1,"value":1e308}]}"#
        let channels = (0..<2_048).map { #"{"channel_name":"c\#($0)",\#(counters)}"# }
        let topics = (0..<3_000).map { number in
            let channels = number == 0 ? channels.joined(separator: ",") : ""
            return #"{"topic_name":"t\#(number)",\#(counters),"channels":[\#(channels)]}"#
        }
        let text = #"{"topics":[\#(topics.joined(separator: ","))]}"#
        let json = try JSONValue(parsingLikeGo: text.utf8, keptDepth: 8)
        let parts = TopicStatistics.topics(in: json, of: try info())
        #expect(parts.count == 3_000 && parts[0].channels.count == 2_048)
        let snapshot = ClusterSnapshot(
            nodes: [try info()], names: [], parts: parts, reached: [], time: 0)
        #expect(snapshot.totals.messages == Int.max)
        #expect(snapshot.totals.depth == Int.max)
        #expect(snapshot.nodes[0].figures.depth == Int.max)
        let response = AdminJSON.node("a:4151", parts, [], now: 1_700_000_000)
        #expect(throws: Never.self) { try JSONValue(parsingStrictly: response, maxDepth: 20) }
        let sum = TopicStatistics(sumOf: parts, name: "all")
        #expect(sum.memoryDepth == Int.max)
        #expect(sum.latency.entries?.allSatisfy { $0.average.isFinite } == true)
    }

    @Test func `read a topic or a channel once, however often a node names it`() throws {
        let channel = #"{"channel_name":"c","depth":1}"#
        let topic = #"{"topic_name":"t","channels":[\#(channel),\#(channel)]}"#
        let json = try JSONValue(
            parsingLikeGo: #"{"topics":[\#(topic),\#(topic)]}"#.utf8, keptDepth: 8)
        let topics = TopicStatistics.topics(in: json, of: try info())
        #expect(topics.map(\.name) == ["t"])
        #expect(topics.first?.channels.map(\.name) == ["c"])
    }

    @Test func `limit the texts of a node`() throws {
        let long = String(repeating: "ä", count: 5_000)
        let json = try JSONValue(
            parsingLikeGo: #"{"hostname":"\#(long)","version":"1.3.0"}"#.utf8, keptDepth: 2)
        #expect(NodeInfo(json).hostname == String(repeating: "ä", count: 128))
        #expect(NodeInfo(json).version == "1.3.0")
        #expect(UpstreamError(long).description.utf8.count == 4_096)
        #expect("aä".truncated(toBytes: 2) == "a")
    }

    @Test(arguments: [
        "a\r\nX: y:1", "a b:1", "a/b:1", "a?b:1", "a@b:1", "ä:1", "%eth0:1", "[fe80::1%]:1",
        "[fe80::1%a%b]:1", "\u{0}:1", "a:0", "a",
    ])
    func `refuse an address that would change a request`(address: String) {
        #expect(throws: UpstreamError.self) {
            try UpstreamURL.url(address, "/stats", [])
        }
    }

    @Test(arguments: [
        "127.0.0.1:1", "[::1]:1", "[fe80::1%eth0]:1", "nsqd-1.a_b.example:4151", ":1",
    ])
    func `accept the addresses of nodes`(address: String) throws {
        #expect(try UpstreamURL.url(address, "/stats", []).target == "/stats")
    }

    @Test(arguments: [
        ("http://user:secret@host/", true), ("https://user@host", true),
        ("http://host/a@b", false), ("http://host?a=@", false), ("", false),
    ])
    func `know whether a URL has a user name`(url: String, hasUserInfo: Bool) {
        #expect(UpstreamURL.hasUserInfo(url) == hasUserInfo)
        guard hasUserInfo else { return }
        var options = AdminOptions()
        options.nsqds = ["127.0.0.1:4151"]
        options.notificationEndpoint = url
        let text = "--notification-http-endpoint must not contain a user name or a password"
        #expect(throws: AdminStartError(text)) { try options.validate() }
    }

    @Test func `run a limited number of operations at once`() async {
        let limit = ConcurrencyLimit(3)
        let running = LockedValue((now: 0, most: 0))
        await withTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    await limit.withPermit {
                        running.withLock {
                            $0.now += 1
                            $0.most = max($0.most, $0.now)
                        }
                        await Task.yield()
                        running.withLock { $0.now -= 1 }
                    }
                }
            }
        }
        #expect(running.withLock { $0.now } == 0)
        #expect(1...3 ~= running.withLock { $0.most })
    }
}
