import BrokerCore
import NSQWire
import TallyBasics
import TallyJSON

/// The response to `/stats?format=json`, with the members and the order of nsqd.
extension StatisticsReport {
    var json: [UInt8] {
        JSONWriter.object { json in
            json.member("version", version)
            json.member("health", health)
            json.member("start_time", startedAtSeconds)
            json.name("topics")
            if isUnknownTopic {
                json.null()
            } else {
                json.array(statistics.topics) { write($1, to: &$0) }
            }
            if includesMemory {
                json.name("memory")
                json.object { json in
                    for (name, value) in memory { json.member(name, value) }
                }
            }
            json.name("producers")
            if statistics.producers.isEmpty || !includesClients {
                json.null()
            } else {
                json.array(statistics.producers) { write($1, to: &$0) }
            }
        }
    }

    private func write(_ topic: TopicStatistics, to json: inout JSONWriter) {
        json.object { json in
            json.member("topic_name", topic.name.text)
            json.name("channels")
            json.array(topic.channels) { write($1, to: &$0) }
            json.member("depth", topic.depth)
            json.member("backend_depth", topic.backendDepth)
            json.member("message_count", topic.messageCount)
            json.member("message_bytes", topic.messageBytes)
            json.member("paused", topic.isPaused)
            write(topic.latency, to: &json)
        }
    }

    private func write(_ channel: ChannelStatistics, to json: inout JSONWriter) {
        json.object { json in
            json.member("channel_name", channel.name.text)
            json.member("depth", channel.depth)
            json.member("backend_depth", channel.backendDepth)
            json.member("in_flight_count", channel.inFlightCount)
            json.member("deferred_count", channel.deferredCount)
            json.member("message_count", channel.messageCount)
            json.member("requeue_count", channel.requeueCount)
            json.member("timeout_count", channel.timeoutCount)
            json.member("client_count", channel.clients.count)
            json.name("clients")
            if includesClients {
                json.array(channel.clients) { write($1, to: &$0) }
            } else {
                json.null()
            }
            json.member("paused", channel.isPaused)
            write(channel.latency, to: &json)
        }
    }

    private func write(_ latency: LatencyStatistics, to json: inout JSONWriter) {
        json.name("e2e_processing_latency")
        json.object { json in
            json.member("count", latency.count)
            json.name("percentiles")
            guard let percentiles = latency.percentiles else { return json.null() }
            json.array(percentiles) { json, percentile in
                json.object { json in
                    json.member("quantile", percentile.quantile)
                    json.member("value", Int(percentile.nanoseconds))
                }
            }
        }
    }

    private func write(_ client: ClientStatistics, to json: inout JSONWriter) {
        json.object { json in
            json.member("client_id", client.clientID)
            json.member("hostname", client.hostname)
            json.member("version", "V2")
            json.member("remote_address", client.address)
            json.member("state", client.state)
            json.member("ready_count", client.readyCount)
            json.member("in_flight_count", client.inFlightCount)
            json.member("message_count", client.deliveredCount)
            json.member("finish_count", client.finishCount)
            json.member("requeue_count", client.requeueCount)
            json.member("connect_ts", Int(client.connectedAtSeconds))
            json.member("sample_rate", client.sampleRate)
            json.member("deflate", client.compression?.isDeflate ?? false)
            json.member("snappy", client.compression == .snappy)
            json.member("user_agent", client.userAgent)
            json.member("topology_zone", client.topologyZone)
            json.member("topology_region", client.topologyRegion)
            if let identity = client.authorized {
                json.member("authed", true)
                if !identity.name.isEmpty { json.member("auth_identity", identity.name) }
                if !identity.url.isEmpty { json.member("auth_identity_url", identity.url) }
            }
            if let (topic, count) = publishCount(of: client) {
                json.name("pub_counts")
                json.array([(topic, count)]) { json, entry in
                    json.object { json in
                        json.member("topic", entry.0.text)
                        json.member("count", entry.1)
                    }
                }
            }
            json.member("tls", client.tls != nil)
            json.member("tls_cipher_suite", client.tls?.cipherSuite ?? "")
            json.member("tls_version", client.tls?.version ?? "")
            json.member("tls_negotiated_protocol", "")
            // Go reports `true` for every TLS connection, and nsqd passes that on.
            json.member("tls_negotiated_protocol_is_mutual", client.tls != nil)
        }
    }
}
