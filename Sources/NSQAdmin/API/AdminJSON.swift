import TallyBasics
import TallyJSON

/// Encodes the responses of nsqadmin, with their members in the order that Go's nsqadmin has.
enum AdminJSON {
    /// Returns the response to a change, or the end of another response.
    static func message(_ warnings: [String]) -> [UInt8] {
        JSONWriter.object { writeMessage(warnings, to: &$0) }
    }

    static func topics(_ topics: [String], _ warnings: [String]) -> [UInt8] {
        JSONWriter.object { json in
            json.name("topics")
            // Go encodes an empty list as null.
            if topics.isEmpty { json.null() } else { json.add(topics) }
            writeMessage(warnings, to: &json)
        }
    }

    static func inactive(
        _ topics: [(name: String, channels: [String])], _ warnings: [String]
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.name("topics")
            json.object { json in
                for (name, channels) in topics {
                    json.name(name)
                    if channels.isEmpty { json.null() } else { json.add(channels) }
                }
            }
            writeMessage(warnings, to: &json)
        }
    }

    static func nodes(_ nodes: [NodeInfo], _ warnings: [String]) -> [UInt8] {
        JSONWriter.object { json in
            json.name("nodes")
            if nodes.isEmpty { json.null() } else { json.array(nodes) { write($1, to: &$0) } }
            writeMessage(warnings, to: &json)
        }
    }

    static func topic(
        _ topic: TopicStatistics, _ warnings: [String], now: Int
    ) -> [UInt8] {
        JSONWriter.object { json in
            writeMembers(of: topic, to: &json, now: now)
            writeMessage(warnings, to: &json)
        }
    }

    /// - Parameter channel: `nil` if no nsqd has the channel.
    static func channel(
        _ channel: ChannelStatistics?, _ warnings: [String], now: Int
    ) -> [UInt8] {
        JSONWriter.object { json in
            if let channel { writeMembers(of: channel, to: &json, now: now) }
            writeMessage(warnings, to: &json)
        }
    }

    static func node(
        _ address: String, _ topics: [TopicStatistics], _ warnings: [String], now: Int
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.member("node", address)
            json.name("topics")
            if topics.isEmpty {
                json.null()
            } else {
                json.array(topics) { json, topic in
                    json.object { writeMembers(of: topic, to: &$0, now: now) }
                }
            }
            json.member("total_messages", topics.reduce(0) { $0.addingSaturated($1.messageCount) })
            let clients = topics.lazy.flatMap(\.channels).reduce(0) {
                $0 + ($1.clients?.count ?? 0)
            }
            json.member("total_clients", clients)
            writeMessage(warnings, to: &json)
        }
    }

    static func counter(_ topics: [TopicStatistics], _ warnings: [String]) -> [UInt8] {
        JSONWriter.object { json in
            json.name("stats")
            json.object { json in
                for topic in topics {
                    for channel in topic.channels {
                        json.name("\(topic.name):\(channel.name):\(Self.escaped(topic.node))")
                        json.object { json in
                            json.member("node", topic.node)
                            json.member("topic_name", topic.name)
                            json.member("channel_name", channel.name)
                            json.member("message_count", channel.messageCount)
                        }
                    }
                }
            }
            writeMessage(warnings, to: &json)
        }
    }

    static func rate(_ text: String) -> [UInt8] {
        JSONWriter.object { $0.member("rate", text) }
    }

    // MARK: Parts

    /// Escapes a text for use in the name of a JSON member. Needed because an nsqd chooses the
    /// address that it reports.
    private static func escaped(_ text: String) -> String {
        String(decoding: JSONWriter.value(text).dropFirst().dropLast(), as: UTF8.self)
    }

    private static func writeMessage(_ warnings: [String], to json: inout JSONWriter) {
        let text = warnings.isEmpty ? "" : "WARNING: " + warnings.joined(separator: "; ")
        json.member("message", text)
    }

    private static func write(_ node: NodeInfo, to json: inout JSONWriter) {
        json.object { json in
            json.member("remote_addresses", node.remoteAddresses)
            json.member("remote_address", node.remoteAddress)
            json.member("hostname", node.hostname)
            json.member("broadcast_address", node.broadcastAddress)
            json.member("tcp_port", node.tcpPort)
            json.member("http_port", node.httpPort)
            json.member("version", node.version)
            json.member("topology_zone", unlessEmpty: node.topologyZone)
            json.member("topology_region", unlessEmpty: node.topologyRegion)
            json.name("topics")
            if let topics = node.topics {
                json.array(topics) { json, topic in
                    json.object { json in
                        json.member("topic", topic.name)
                        json.member("tombstoned", topic.isTombstoned)
                    }
                }
            } else {
                json.null()
            }
            json.member("out_of_date", node.isOutOfDate)
        }
    }

    private static func writeMembers(
        of topic: TopicStatistics, to json: inout JSONWriter, now: Int
    ) {
        json.member("node", topic.node)
        json.member("hostname", topic.hostname)
        json.member("topic_name", topic.name)
        json.member("depth", topic.depth)
        json.member("memory_depth", topic.memoryDepth)
        json.member("backend_depth", topic.backendDepth)
        json.member("message_count", topic.messageCount)
        write(topic.localCounts, to: &json)
        json.name("nodes")
        if let nodes = topic.nodes {
            json.array(nodes) { json, node in
                json.object { writeMembers(of: node, to: &$0, now: now) }
            }
        } else {
            json.null()
        }
        json.name("channels")
        if topic.channels.isEmpty {
            json.null()
        } else {
            json.array(topic.channels) { json, channel in
                json.object { writeMembers(of: channel, to: &$0, now: now) }
            }
        }
        json.member("paused", topic.isPaused)
        json.name("e2e_processing_latency")
        let isSum = topic.nodes != nil
        write(
            topic.latency, topic: isSum ? topic.name : "", channel: "", host: isSum ? "*" : "",
            to: &json)
    }

    private static func writeMembers(
        of channel: ChannelStatistics, to json: inout JSONWriter, now: Int
    ) {
        json.member("node", channel.node)
        json.member("hostname", channel.hostname)
        json.member("topic_name", channel.topic)
        json.member("channel_name", channel.name)
        json.member("depth", channel.depth)
        json.member("memory_depth", channel.memoryDepth)
        json.member("backend_depth", channel.backendDepth)
        json.member("in_flight_count", channel.inFlightCount)
        json.member("deferred_count", channel.deferredCount)
        json.member("requeue_count", channel.requeueCount)
        json.member("timeout_count", channel.timeoutCount)
        json.member("message_count", channel.messageCount)
        write(channel.localCounts, to: &json)
        json.member("client_count", channel.clientCount)
        json.name("nodes")
        if let nodes = channel.nodes {
            json.array(nodes) { json, node in
                json.object { writeMembers(of: node, to: &$0, now: now) }
            }
        } else {
            json.null()
        }
        json.name("clients")
        json.array(channel.clients) { write($1, to: &$0, now: now) }
        json.member("paused", channel.isPaused)
        json.name("e2e_processing_latency")
        let isSum = channel.nodes != nil
        write(
            channel.latency, topic: isSum ? channel.topic : "", channel: isSum ? channel.name : "",
            host: isSum ? "*" : "", to: &json)
    }

    private static func write(_ counts: LocalCounts, to json: inout JSONWriter) {
        for (name, count) in [
            ("delivery_msg_count", counts.sum), ("zone_local_msg_count", counts.zone),
            ("region_local_msg_count", counts.region), ("global_msg_count", counts.global),
        ] where count > 0 {
            json.member(name, count)
        }
    }

    private static func write(
        _ latency: LatencyPercentiles, topic: String, channel: String, host: String,
        to json: inout JSONWriter
    ) {
        json.object { json in
            json.member("count", latency.count)
            json.name("percentiles")
            if let entries = latency.entries {
                json.array(entries) { json, entry in
                    json.object { json in
                        json.member("average", entry.average)
                        json.member("count", entry.count)
                        json.member("max", entry.max)
                        json.member("min", entry.min)
                        json.member("quantile", entry.quantile)
                        if let value = entry.value { json.member("value", value) }
                    }
                }
            } else {
                json.null()
            }
            json.member("topic", topic)
            json.member("channel", channel)
            json.member("host", host)
        }
    }

    private static func write(
        _ client: ClientStatistics, to json: inout JSONWriter, now: Int
    ) {
        json.object { json in
            json.member("node", client.node)
            json.member("remote_address", client.remoteAddress)
            json.member("version", client.version)
            json.member("client_id", client.clientID)
            json.member("hostname", client.hostname)
            json.member("user_agent", client.userAgent)
            json.member("connect_ts", client.connectedAt)
            json.member("connected", client.connectedNanoseconds(at: now))
            json.member("in_flight_count", client.inFlightCount)
            json.member("ready_count", client.readyCount)
            json.member("finish_count", client.finishCount)
            json.member("requeue_count", client.requeueCount)
            json.member("message_count", client.messageCount)
            json.member("sample_rate", client.sampleRate)
            json.member("deflate", client.usesDeflate)
            json.member("snappy", client.usesSnappy)
            json.member("authed", client.isAuthorized)
            json.member("auth_identity", client.identity)
            json.member("auth_identity_url", client.identityURL)
            json.member("node_topology_region", unlessEmpty: client.nodeTopologyRegion)
            json.member("node_topology_zone", unlessEmpty: client.nodeTopologyZone)
            json.member("topology_region", unlessEmpty: client.topologyRegion)
            json.member("topology_zone", unlessEmpty: client.topologyZone)
            json.member("tls", client.tls.isUsed)
            json.member("tls_cipher_suite", client.tls.cipherSuite)
            json.member("tls_version", client.tls.version)
            json.member("tls_negotiated_protocol", client.tls.protocolName)
            json.member("tls_negotiated_protocol_is_mutual", client.tls.isProtocolMutual)
        }
    }
}

extension JSONWriter {
    fileprivate mutating func member(_ name: String, unlessEmpty text: String) {
        if !text.isEmpty { member(name, text) }
    }
}
