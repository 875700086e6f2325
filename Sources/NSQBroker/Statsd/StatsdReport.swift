import BrokerCore
import NSQWire

/// What a statsd is told of: the broker's statistics, counters as what came since the last time.
/// No I/O and no clock.
struct StatsdReport {
    var options: StatsdOptions
    /// With `%s` replaced, and a point at the end.
    var prefix: String
    private var last: [String: Int] = [:]

    /// - Parameter host: the broker as others know it, `address:port`.
    init(_ options: StatsdOptions, host: String) {
        self.options = options
        let key = String(host.map { $0 == "." || $0 == ":" ? "_" : $0 })
        let text = options.prefix.replacing("%s", with: key)
        // Without any prefix there is nothing for a point to part.
        prefix = text.isEmpty || text.hasSuffix(".") ? text : text + "."
    }

    /// The lines of a push, each with its newline, packed into datagrams that are as large as they
    /// may be. A line that is too long for one has one of its own.
    mutating func datagrams(
        of statistics: BrokerStatistics, memory: [(name: StaticString, value: Int)]
    ) -> [[UInt8]] {
        var lines = Lines(prefix: prefix, last: last)
        for topic in statistics.topics where isWanted(topic.name.isEphemeral) {
            add(topic, to: &lines)
        }
        if options.sendsMemory { Self.add(memory, to: &lines) }
        last = lines.counted
        return Self.pack(lines.texts, limit: options.packetBytes)
    }

    private func isWanted(_ isEphemeral: Bool) -> Bool {
        !isEphemeral || !options.excludesEphemeral
    }

    private func add(_ topic: TopicStatistics, to lines: inout Lines) {
        lines.part = "topic.\(topic.name)."
        lines.count("message_count", topic.messageCount)
        lines.count("message_bytes", topic.messageBytes)
        lines.gauge("depth", topic.depth)
        lines.gauge("backend_depth", 0)
        lines.gauge(topic.latency)
        for channel in topic.channels where isWanted(channel.name.isEphemeral) {
            lines.part = "topic.\(topic.name).channel.\(channel.name)."
            lines.count("message_count", channel.messageCount)
            lines.gauge("depth", channel.depth)
            lines.gauge("backend_depth", 0)
            lines.gauge("in_flight_count", channel.inFlightCount)
            lines.gauge("deferred_count", channel.deferredCount)
            lines.count("requeue_count", channel.requeueCount)
            lines.count("timeout_count", channel.timeoutCount)
            lines.gauge("clients", channel.clients.count)
            lines.gauge(channel.latency)
        }
    }

    private static func add(_ memory: [(name: StaticString, value: Int)], to lines: inout Lines) {
        lines.part = "mem."
        for (name, value) in memory {
            // The one counter among them; nsqd has another name for it here.
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
        let last: [String: Int]
        /// What the next ones are about.
        var part = ""
        private(set) var texts: [String] = []
        private(set) var counted: [String: Int] = [:]

        init(prefix: String, last: [String: Int]) {
            self.prefix = prefix
            self.last = last
        }

        mutating func gauge(_ name: String, _ value: Int) { add(name, value, "g") }

        mutating func gauge(_ latency: LatencyStatistics) {
            for percentile in latency.percentiles ?? [] {
                let percent = Int((percentile.quantile * 100).rounded(.toNearestOrEven))
                gauge("e2e_processing_latency_\(percent)", Int(percentile.nanoseconds))
            }
        }

        /// A topic that was deleted and made anew counts from 0 again: the difference is then
        /// negative, as with nsqd.
        mutating func count(_ name: String, _ value: Int) {
            let key = part + name
            add(name, value - (last[key] ?? 0), "c")
            counted[key] = value
        }

        private mutating func add(_ name: String, _ value: Int, _ kind: String) {
            texts.append("\(prefix)\(part)\(name):\(value)|\(kind)\n")
        }
    }
}
