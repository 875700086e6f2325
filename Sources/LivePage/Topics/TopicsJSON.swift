import NSQAdmin
import TallyJSON

/// Encodes the events and the responses of the pages of topics and nodes.
enum TopicsJSON {
    /// Returns an event with the totals of the cluster and the latest actions.
    static func update(
        _ snapshot: ClusterSnapshot, _ actions: [ActionLog.Entry], started: Int
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.member("number", snapshot.number)
            json.member("time", snapshot.time)
            json.member("started", started)
            json.member("problem", snapshot.problem)
            json.member("warnings", Array(snapshot.warnings.prefix(10)))
            json.member("topics", snapshot.topics.count)
            json.member("nodes", snapshot.nodes.count)
            json.name("totals")
            write(snapshot.totals, to: &json)
            json.name("actions")
            json.array(actions.prefix(20)) { json, entry in
                json.object { json in
                    json.member("number", entry.number)
                    json.member("time", entry.time)
                    json.member("action", entry.action)
                    json.member("target", entry.target)
                    json.member("user", entry.user)
                    json.member("error", entry.failure)
                }
            }
        }
    }

    static func list(_ page: TopicListQuery.Page, of count: Int) -> [UInt8] {
        JSONWriter.object { json in
            json.name("topics")
            json.array(page.topics) { json, topic in
                json.object { json in
                    json.member("name", topic.name)
                    json.member("channels", topic.channels.count)
                    json.member("nodes", topic.statistics.nodes?.count ?? 0)
                    json.member("paused", topic.statistics.isPaused)
                    json.member(
                        "paused_channels", topic.channels.reduce(0) { $0 + ($1.isPaused ? 1 : 0) })
                    json.name("figures")
                    write(topic.figures, to: &json)
                }
            }
            json.member("matching", page.matching)
            json.member("count", count)
            json.member("next", page.next)
        }
    }

    static func topic(
        _ topic: ClusterSnapshot.Topic, _ points: [ClusterHistory.Point]
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.member("name", topic.name)
            json.member("paused", topic.statistics.isPaused)
            json.member("depth", topic.statistics.depth)
            json.name("figures")
            write(topic.figures, to: &json)
            json.name("channels")
            json.array(topic.channels) { json, channel in
                json.object { json in
                    json.member("name", channel.name)
                    json.member("paused", channel.isPaused)
                    json.name("figures")
                    write(channel.figures, to: &json)
                }
            }
            json.name("nodes")
            json.array(topic.statistics.nodes ?? []) { json, node in
                json.object { json in
                    json.member("node", node.node)
                    json.member("hostname", node.hostname)
                    json.member("depth", node.depth)
                    json.member("backend_depth", node.backendDepth)
                    json.member("messages", node.messageCount)
                    json.member("paused", node.isPaused)
                    json.member("channels", node.channels.count)
                }
            }
            write(topic.statistics.latency, to: &json)
            json.name("points")
            write(points, to: &json)
        }
    }

    static func channel(
        _ channel: ClusterSnapshot.Channel, _ detail: ChannelDetails.Detail,
        _ points: [ClusterHistory.Point]
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.member("name", channel.name)
            json.member("paused", channel.isPaused)
            json.name("figures")
            write(channel.figures, to: &json)
            json.member("warnings", Array(detail.warnings.prefix(10)))
            json.member("known", detail.statistics != nil)
            json.name("nodes")
            json.array(detail.statistics?.nodes ?? []) { json, node in
                json.object { json in
                    json.member("node", node.node)
                    json.member("hostname", node.hostname)
                    json.member("backend_depth", node.backendDepth)
                    json.member("paused", node.isPaused)
                    json.name("figures")
                    write(QueueStatistics(node), to: &json)
                }
            }
            let clients = detail.statistics?.clients ?? []
            json.member("client_count", clients.count)
            json.name("clients")
            json.array(clients.prefix(maxClients)) { write($1, to: &$0) }
            write(detail.statistics?.latency ?? LatencyPercentiles(), to: &json)
            json.name("points")
            write(points, to: &json)
        }
    }

    /// The maximum number of consumers of a channel in a response.
    private static let maxClients = 500

    static func nodes(_ snapshot: ClusterSnapshot) -> [UInt8] {
        JSONWriter.object { json in
            json.name("nodes")
            json.array(snapshot.nodes) { write($1, to: &$0) }
        }
    }

    static func node(_ node: ClusterSnapshot.Node, in snapshot: ClusterSnapshot) -> [UInt8] {
        let address = node.info.httpAddress
        let topics = snapshot.topics.compactMap { topic in
            topic.statistics.nodes?.first { $0.node == address }
        }
        return JSONWriter.object { json in
            json.name("node")
            write(node, to: &json)
            json.name("topics")
            json.array(topics.prefix(maxTopicsOfNode)) { json, topic in
                json.object { json in
                    json.member("name", topic.name)
                    json.member("paused", topic.isPaused)
                    json.member("channels", topic.channels.count)
                    json.name("figures")
                    write(QueueStatistics(topic), to: &json)
                }
            }
        }
    }

    /// The maximum number of topics of a node in a response.
    private static let maxTopicsOfNode = 500

    /// Returns the topics without a node, and the addresses of the nsqlookupds.
    static func lookup(_ snapshot: ClusterSnapshot, lookupds: [String]) -> [UInt8] {
        let inactive = snapshot.topics.filter { $0.statistics.nodes == nil }
        return JSONWriter.object { json in
            json.member("lookupds", lookupds)
            json.member("inactive_count", inactive.count)
            json.member("inactive", inactive.prefix(maxTopicsOfNode).map(\.name))
        }
    }

    static func points(_ points: [ClusterHistory.Point]) -> [UInt8] {
        JSONWriter.object { json in
            json.name("points")
            write(points, to: &json)
        }
    }

    static func session(
        isAdmin: Bool, _ options: AdminOptions, _ pages: TopicsRoutes.OtherPages
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.member("is_admin", isAdmin)
            json.member("has_lookupds", !options.lookupds.isEmpty)
            json.member("version", options.version)
            json.member("has_videos", pages.hasVideos)
            json.member("has_jobs", pages.hasJobs)
        }
    }

    // MARK: Parts

    private static func write(_ node: ClusterSnapshot.Node, to json: inout JSONWriter) {
        json.object { json in
            json.member("node", node.info.httpAddress)
            json.member("hostname", node.info.hostname)
            json.member("tcp_port", node.info.tcpPort)
            json.member("version", node.info.version)
            json.member("out_of_date", node.info.isOutOfDate)
            json.member("reachable", node.hasResponded)
            json.member("lookupds", node.info.remoteAddresses ?? [])
            json.member("topics", node.topicCount)
            json.member(
                "tombstones", (node.info.topics ?? []).filter(\.isTombstoned).map(\.name))
            json.name("figures")
            write(node.figures, to: &json)
        }
    }

    private static func write(_ figures: QueueStatistics, to json: inout JSONWriter) {
        json.object { json in
            json.member("depth", figures.depth)
            json.member("in_flight", figures.inFlight)
            json.member("deferred", figures.deferred)
            json.member("clients", figures.clients)
            json.member("messages", figures.messages)
            json.member("requeues", figures.requeues)
            json.member("timeouts", figures.timeouts)
            for (name, value) in [
                ("incoming", figures.incoming), ("outgoing", figures.outgoing),
                ("drain_seconds", figures.secondsToDrain),
            ] {
                json.name(name)
                if let value { json.add(rounded(value)) } else { json.null() }
            }
        }
    }

    private static func write(_ client: ClientStatistics, to json: inout JSONWriter) {
        json.object { json in
            json.member("node", client.node)
            json.member("address", client.remoteAddress)
            json.member("client_id", client.clientID)
            json.member("hostname", client.hostname)
            json.member("user_agent", client.userAgent)
            json.member("connected", client.connectedAt)
            json.member("in_flight", client.inFlightCount)
            json.member("ready", client.readyCount)
            json.member("finished", client.finishCount)
            json.member("requeued", client.requeueCount)
            json.member("messages", client.messageCount)
            json.member("sample_rate", client.sampleRate)
            let features = [
                (client.tls.isUsed, client.tls.version.isEmpty ? "TLS" : client.tls.version),
                (client.usesSnappy, "snappy"), (client.usesDeflate, "deflate"),
            ]
            json.member("features", features.filter(\.0).map(\.1))
            json.member("identity", client.identity)
        }
    }

    private static func write(_ latency: LatencyPercentiles, to json: inout JSONWriter) {
        json.name("latency")
        // If no message was finished within nsqd's measurement window, all percentiles are 0 and
        // mean nothing.
        json.array(latency.count > 0 ? latency.entries ?? [] : []) { json, entry in
            json.add([entry.quantile, entry.average])
        }
    }

    private static func write(_ points: [ClusterHistory.Point], to json: inout JSONWriter) {
        json.array(points) { json, point in
            let figures = [point.depth, point.incoming, point.outgoing].map { $0.map(Double.init) }
            json.array([Double(point.slot)] + figures) { json, figure in
                if let figure { json.add(rounded(figure)) } else { json.null() }
            }
        }
    }

    /// The number rounded to one decimal digit. A large number is returned unchanged.
    private static func rounded(_ number: Double) -> Double {
        abs(number) < 1e15 ? (number * 10).rounded() / 10 : number
    }
}
