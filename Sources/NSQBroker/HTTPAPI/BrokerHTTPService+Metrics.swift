import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import UVLoop

/// Handles `/metrics`, the statistics in the text format of Prometheus. nsqd does not have this
/// route, and needs a separate exporter.
///
/// - SeeAlso: Prometheus, “Exposition formats”.
extension BrokerHTTPService {
    var metrics: HTTPResponse {
        let statistics = broker.statistics(at: server.now)
        var text = PrometheusText()
        text.add("nsqd_info", .gauge, "The version of the broker.")
        text.sample(1, ("version", broker.options.version))
        text.add("tally_build_info", .gauge, "The version of tally, and of the compatible nsqd.")
        text.sample(
            1, ("version", TallyVersion.current), ("nsqd_version", broker.options.version))
        text.add(
            "nsqd_start_time_seconds", .gauge,
            "Start time of the broker since the Unix epoch in seconds.")
        text.sample(server.startedAtSeconds)
        text.add("nsqd_connections", .gauge, "Number of open connections.")
        text.sample(statistics.connections, ("protocol", "tcp"))
        text.sample(server.http.connectionCount, ("protocol", "http"))
        text.add("nsqd_memory_bytes", .gauge, "Memory for messages in bytes, by use.")
        text.sample(statistics.usedMemoryBytes, ("state", "used"))
        text.sample(statistics.spareMemoryBytes, ("state", "spare"))
        text.add(
            "nsqd_memory_part_bytes", .gauge,
            "Memory in bytes that the limit applies to, by use.")
        text.sample(statistics.usedMemoryBytes, ("part", "messages"))
        for part in MemoryAccount.Part.allCases {
            text.sample(statistics.accountedBytes[part] ?? 0, ("part", part.rawValue))
        }
        text.add(
            "nsqd_memory_limit_bytes", .gauge,
            "Limit of the memory of all parts; above it, publishes are refused.")
        text.sample(broker.options.maxMemoryBytes)
        text.addProcessUsage()
        text.add(
            "nsqd_loop_iteration_seconds", .histogram,
            "Duration of an event loop iteration, without waiting.")
        text.sample(server.http.iterationDurations)
        text.add(statistics.topics)
        text.add(statistics.topics.flatMap { topic in topic.channels.map { (topic.name, $0) } })
        return HTTPResponse(
            status: 200,
            headers: [("Content-Type", PrometheusText.contentType)],
            body: Array(text.text.utf8))
    }
}

extension PrometheusText {
    fileprivate mutating func add(_ topics: [TopicStatistics]) {
        let families: [(String, Kind, String, (TopicStatistics) -> Int)] = [
            ("messages_total", .counter, "Number of published messages.", { $0.messageCount }),
            ("message_bytes_total", .counter, "Bytes of published messages.", { $0.messageBytes }),
            (
                "depth", .gauge, "Number of messages that are not dispatched to channels yet.",
                { $0.depth }
            ),
            ("paused", .gauge, "1 while the topic is paused.", { $0.isPaused ? 1 : 0 }),
        ]
        for (name, kind, help, value) in families {
            add("nsqd_topic_\(name)", kind, help)
            for topic in topics { sample(value(topic), ("topic", topic.name.text)) }
        }
    }

    fileprivate mutating func add(_ channels: [(topic: TopicName, channel: ChannelStatistics)]) {
        let families: [(String, Kind, String, (ChannelStatistics) -> Int)] = [
            (
                "messages_total", .counter, "Number of messages that the channel received.",
                { $0.messageCount }
            ),
            (
                "requeues_total", .counter, "Number of messages that consumers requeued.",
                { $0.requeueCount }
            ),
            (
                "timeouts_total", .counter, "Number of deliveries that timed out.",
                { $0.timeoutCount }
            ),
            (
                "failed_total", .counter, "Number of messages moved to the failed set.",
                { $0.failedCount }
            ),
            ("expired_total", .counter, "Number of messages that expired.", { $0.expiredCount }),
            ("depth", .gauge, "Number of messages that wait for a consumer.", { $0.depth }),
            ("in_flight", .gauge, "Number of messages in flight.", { $0.inFlightCount }),
            ("deferred", .gauge, "Number of deferred messages.", { $0.deferredCount }),
            ("clients", .gauge, "Number of consumers.", { $0.clients.count }),
            ("paused", .gauge, "1 while the channel is paused.", { $0.isPaused ? 1 : 0 }),
        ]
        for (name, kind, help, value) in families {
            add("nsqd_channel_\(name)", kind, help)
            for (topic, channel) in channels {
                sample(value(channel), ("topic", topic.text), ("channel", channel.name.text))
            }
        }
        guard channels.contains(where: { $0.channel.latency.percentiles != nil }) else { return }
        add(
            "nsqd_channel_e2e_processing_latency_seconds", .summary,
            "Latency from publish to FIN in seconds, over the configured window.")
        for (topic, channel) in channels {
            sample(
                (channel.latency.percentiles ?? []).map { ($0.quantile, $0.nanoseconds) },
                count: channel.latency.count,
                ("topic", topic.text), ("channel", channel.name.text))
        }
    }
}
