import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import TallyJSON
import UVLoop

/// Handles `/stats` and `/info`.
extension BrokerHTTPService {
    var info: [UInt8] {
        let options = broker.options
        return JSONWriter.object { json in
            json.member("version", options.version)
            json.member("broadcast_address", server.options.addresses.broadcast)
            json.member("hostname", System.hostname)
            json.member("http_port", server.http.address?.port ?? -1)
            json.member("tcp_port", server.tcp.address?.port ?? -1)
            json.member("start_time", server.startedAtSeconds)
            json.member("max_heartbeat_interval", Int(options.maxHeartbeatInterval.nanoseconds))
            json.member("max_output_buffer_size", options.maxOutputBufferBytes)
            json.member(
                "max_output_buffer_timeout", Int(options.maxOutputBufferTimeout.nanoseconds))
            json.member("max_deflate_level", options.maxDeflateLevel)
            json.member("topology_zone", "")
            json.member("topology_region", "")
            // nsqd does not have this field. Clients and nsqadmin ignore fields that they do not know.
            json.member("tally_version", TallyVersion.current)
        }
    }

    func statistics(_ request: HTTPRequest) throws(HTTPFailure) -> HTTPResponse {
        let query = try query(of: request)
        var report = StatisticsReport(
            statistics: broker.statistics(at: server.now),
            version: broker.options.version,
            health: server.failure.map { "NOK - \($0)" } ?? "OK",
            startedAtSeconds: server.startedAtSeconds,
            nowSeconds: Int(server.now.wall / 1_000_000_000),
            uptimeNanoseconds: server.now.monotonic - broker.startedAt.monotonic)
        report.filter(topic: query["topic"], channel: query["channel"])
        report.includesClients = GoText.bool(query["include_clients"], absent: true, other: true)
        report.includesMemory = GoText.bool(query["include_mem"], absent: true, other: true)
        return query["format"] == "json" ? .nsqJSON(report.json) : .plain(report.text)
    }
}

/// The content of `/stats`, for all topics or for the topics that the request selects.
struct StatisticsReport {
    var statistics: BrokerStatistics
    var version: String
    var health: String
    var startedAtSeconds: Int
    var nowSeconds: Int
    var uptimeNanoseconds: Int64
    var includesClients = true
    var includesMemory = true
    private(set) var topicFilter: TopicName?
    /// `true` if the request selects a topic that does not exist.
    private(set) var isUnknownTopic = false

    init(
        statistics: BrokerStatistics, version: String, health: String, startedAtSeconds: Int,
        nowSeconds: Int, uptimeNanoseconds: Int64
    ) {
        self.statistics = statistics
        self.version = version
        self.health = health
        self.startedAtSeconds = startedAtSeconds
        self.nowSeconds = nowSeconds
        self.uptimeNanoseconds = uptimeNanoseconds
    }

    /// Keeps only the selected topic, and only topics with the selected channel. An empty name
    /// selects everything.
    mutating func filter(topic: String?, channel: String?) {
        if let topic, !topic.isEmpty {
            statistics.topics.removeAll { $0.name.text != topic }
            topicFilter = TopicName(topic)
            isUnknownTopic = statistics.topics.isEmpty
            // nsqd omits the producers in this case.
            if isUnknownTopic { statistics.producers = [] }
        }
        if let channel, !channel.isEmpty {
            for index in statistics.topics.indices {
                statistics.topics[index].channels.removeAll { $0.name.text != channel }
            }
            statistics.topics.removeAll { $0.channels.isEmpty }
        }
    }

    /// The number of messages that a client has published to the selected topic. Without a
    /// selection, it is the number for one of the client's topics, as in nsqd.
    func publishCount(of client: ClientStatistics) -> (topic: TopicName, count: Int)? {
        let counts = client.publishCounts.filter { topicFilter == nil || $0.key == topicFilter }
        return counts.min { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    var memory: [(name: String, value: Int)] { statistics.memory }
}

extension BrokerStatistics {
    /// Statistics of the memory slabs that store messages, with the names of Go's heap statistics.
    /// The values for garbage collection are 0.
    var memory: [(name: String, value: Int)] {
        [
            ("heap_objects", 0),
            ("heap_idle_bytes", spareMemoryBytes),
            ("heap_in_use_bytes", usedMemoryBytes),
            ("heap_released_bytes", 0),
            ("gc_pause_usec_100", 0),
            ("gc_pause_usec_99", 0),
            ("gc_pause_usec_95", 0),
            ("next_gc_bytes", 0),
            ("gc_total_runs", 0),
        ]
    }
}
