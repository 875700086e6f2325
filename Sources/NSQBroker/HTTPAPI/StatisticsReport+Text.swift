import BrokerCore
import NSQWire
import TallyBasics

/// The response to `/stats` as text, with the columns of nsqd.
extension StatisticsReport {
    var text: String {
        var text = """
            nsqd v\(version) (built w/swift)
            start_time \(GoText.date(secondsSince1970: Int64(startedAtSeconds)))
            uptime \(GoText.duration(nanoseconds: uptimeNanoseconds))

            Health: \(health)

            """
        if includesMemory {
            text += "\nMemory:\n"
            for (name, value) in memory { text += "   \(pad("\(name)", 25))\t\(value)\n" }
        }
        text += statistics.topics.isEmpty ? "\nTopics: None\n" : "\nTopics:"
        for topic in statistics.topics { text += line(of: topic) }
        let producers = includesClients ? statistics.producers : []
        text += producers.isEmpty ? "\nProducers: None\n" : "\nProducers:\n"
        for client in producers { text += "   \(line(of: client))\n" }
        return text
    }

    private func line(of topic: TopicStatistics) -> String {
        var text = "\n" + (topic.isPaused ? "*P " : "   ")
        text += "[\(pad(topic.name, 15))] depth: \(pad(topic.depth, 5))"
        text += " be-depth: \(pad(topic.backendDepth, 5))"
        text += " msgs: \(pad(topic.messageCount, 8)) e2e%: \(percentiles(of: topic.latency))\n"
        for channel in topic.channels { text += line(of: channel) }
        return text
    }

    private func line(of channel: ChannelStatistics) -> String {
        var text = channel.isPaused ? "   *P " : "      "
        text += "[\(pad(channel.name, 25))] depth: \(pad(channel.depth, 5))"
        text += " be-depth: \(pad(channel.backendDepth, 5))"
        text += " inflt: \(pad(channel.inFlightCount, 4)) def: \(pad(channel.deferredCount, 4))"
        text += " re-q: \(pad(channel.requeueCount, 5)) timeout: \(pad(channel.timeoutCount, 5))"
        text += " msgs: \(pad(channel.messageCount, 8)) e2e%: \(percentiles(of: channel.latency))\n"
        if includesClients {
            for client in channel.clients { text += "        \(line(of: client))\n" }
        }
        return text
    }

    private func percentiles(of latency: LatencyStatistics) -> String {
        (latency.percentiles ?? []).map { GoText.rounded(nanoseconds: $0.nanoseconds) }
            .joined(separator: ", ")
    }

    private func line(of client: ClientStatistics) -> String {
        let parts = client.address.split(separator: ":")
        // A client on a Unix-domain socket has no port.
        let port = parts.count > 1 ? parts.last! : ""
        let name = "[V2 " + pad("\(client.hostname):\(port) \(client.userAgent)", 21) + "]"
        let age = max(0, Int64(nowSeconds) - client.connectedAtSeconds)
        let connected = "connected: " + GoText.duration(nanoseconds: age * 1_000_000_000)
        if let (topic, count) = publishCount(of: client) {
            return "\(name) msgs: \(pad(count, 8)) topics: \(topic)=\(count) \(connected)"
        }
        return "\(name) state: \(client.state) inflt: \(pad(client.inFlightCount, 4))"
            + " rdy: \(pad(client.readyCount, 4)) fin: \(pad(client.finishCount, 8))"
            + " re-q: \(pad(client.requeueCount, 8)) msgs: \(pad(client.deliveredCount, 8))"
            + " \(connected)"
    }

    private func pad(_ text: some CustomStringConvertible, _ width: Int) -> String {
        GoText.padded(text, width)
    }
}
