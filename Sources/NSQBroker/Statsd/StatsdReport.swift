import BrokerCore
import NSQWire
import TallyBasics

/// Converts statistics of the broker to statsd's format, without I/O and clock. The value of a
/// counter is its increase since the previous report.
struct StatsdReport {
    var options: StatsdOptions
    /// The text before each key. `%s` is replaced by the host, and a dot follows at the end.
    var prefix: String
    private var previousCounts: [String: Int] = [:]

    /// Creates an empty report.
    ///
    /// - Parameter host: the broadcast address and the HTTP port, as `address:port`.
    init(_ options: StatsdOptions, host: String) {
        self.options = options
        let key = String(host.map { $0 == "." || $0 == ":" ? "_" : $0 })
        let text = options.prefix.replacing("%s", with: key)
        // No dot follows an empty prefix.
        prefix = text.isEmpty || text.hasSuffix(".") ? text : text + "."
    }

    /// Returns the datagrams of the next report. Each contains as many lines as fit into the
    /// datagram limit. A longer line gets a datagram of its own.
    mutating func datagrams(
        of statistics: BrokerStatistics, memory: [(name: String, value: Int)]
    ) -> [[UInt8]] {
        var lines = Lines(prefix: prefix, previousCounts: previousCounts)
        for topic in statistics.topics where isIncluded(topic.name.isEphemeral) {
            add(topic, to: &lines)
        }
        if options.sendsMemory { Self.add(memory, to: &lines) }
        previousCounts = lines.counts
        return Self.pack(lines.texts, limit: options.packetBytes)
    }

    private func isIncluded(_ isEphemeral: Bool) -> Bool {
        !isEphemeral || !options.excludesEphemeral
    }

    private func add(_ topic: TopicStatistics, to lines: inout Lines) {
        lines.part = "topic.\(topic.name)."
        lines.count("message_count", topic.messageCount)
        lines.count("message_bytes", topic.messageBytes)
        lines.gauge("depth", topic.depth)
        lines.gauge("backend_depth", topic.backendDepth)
        lines.gauge(topic.latency)
        for channel in topic.channels where isIncluded(channel.name.isEphemeral) {
            lines.part = "topic.\(topic.name).channel.\(channel.name)."
            lines.count("message_count", channel.messageCount)
            lines.gauge("depth", channel.depth)
            lines.gauge("backend_depth", channel.backendDepth)
            lines.gauge("in_flight_count", channel.inFlightCount)
            lines.gauge("deferred_count", channel.deferredCount)
            lines.count("requeue_count", channel.requeueCount)
            lines.count("timeout_count", channel.timeoutCount)
            lines.gauge("clients", channel.clients.count)
            lines.gauge(channel.latency)
        }
    }

    private static func add(_ memory: [(name: String, value: Int)], to lines: inout Lines) {
        lines.part = "mem."
        for (name, value) in memory {
            // As in nsqd, this counter has another name than in `/stats`. All other values are
            // gauges.
            if "\(name)" == "gc_total_runs" {
                lines.count("gc_runs", value)
            } else {
                lines.gauge("\(name)", value)
            }
        }
    }

    private static func pack(_ lines: [String], limit: Int) -> [[UInt8]] {
        var datagrams: [[UInt8]] = []
        for line in lines {
            if let size = datagrams.last?.count, size + line.utf8.count <= limit {
                datagrams[datagrams.count - 1] += line.utf8
            } else {
                datagrams.append(Array(line.utf8))
            }
        }
        return datagrams
    }

    private struct Lines {
        let prefix: String
        let previousCounts: [String: Int]
        /// The part of the key between the prefix and the name of the value, with a dot at the end.
        var part = ""
        private(set) var texts: [String] = []
        private(set) var counts: [String: Int] = [:]

        init(prefix: String, previousCounts: [String: Int]) {
            self.prefix = prefix
            self.previousCounts = previousCounts
        }

        mutating func gauge(_ name: String, _ value: Int) { add(name, value, "g") }

        mutating func gauge(_ latency: LatencyStatistics) {
            for percentile in latency.percentiles ?? [] {
                let percent = Int((percentile.quantile * 100).rounded(.toNearestOrEven))
                gauge("e2e_processing_latency_\(percent)", Int(percentile.nanoseconds))
            }
        }

        /// Adds the increase of a counter since the previous report. As in nsqd, it is negative
        /// after a topic was deleted and created again.
        mutating func count(_ name: String, _ value: Int) {
            let key = part + name
            add(name, value - (previousCounts[key] ?? 0), "c")
            counts[key] = value
        }

        private mutating func add(_ name: String, _ value: Int, _ kind: String) {
            texts.append("\(prefix)\(part)\(name):\(value)|\(kind)\n")
        }
    }
}
