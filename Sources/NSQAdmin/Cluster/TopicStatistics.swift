import NSQWire
import TallyBasics
import TallyJSON

/// The statistics of a topic at one nsqd, or the sums over several.
package struct TopicStatistics: Sendable {
    /// The HTTP address of the nsqd; `*` for sums.
    package var node: String
    package var hostname = ""
    package var name: String
    package var depth = 0
    package var backendDepth = 0
    package var messageCount = 0
    package var localCounts = LocalCounts()
    /// `true` if the topic is paused at one nsqd or more.
    package var isPaused = false
    package var latency = LatencyPercentiles()
    /// The channels, sorted by name.
    package private(set) var channels: [ChannelStatistics] = []
    /// The statistics at each nsqd, sorted by host name; `nil` if this value is itself for one
    /// nsqd.
    package var nodes: [TopicStatistics]?

    package var memoryDepth: Int { depth.subtractingSaturated(backendDepth) }

    /// The sum of the topic at several nsqds.
    init(sumOf parts: [TopicStatistics], name: String) {
        node = parts.isEmpty ? "" : "*"
        self.name = name
        guard !parts.isEmpty else { return }
        var channels: [String: ChannelStatistics] = [:]
        for part in parts {
            depth.addSaturated(part.depth)
            backendDepth.addSaturated(part.backendDepth)
            messageCount.addSaturated(part.messageCount)
            localCounts.add(part.localCounts)
            isPaused = isPaused || part.isPaused
            latency.add(part.latency)
            for channel in part.channels {
                channels[
                    channel.name, default: ChannelStatistics(sumsOf: channel.name, topic: name)
                ].add(channel)
            }
        }
        nodes = parts.sorted { ($0.hostname, $0.node) < ($1.hostname, $1.node) }
        self.channels = channels.values.sorted { $0.name < $1.name }
        for index in self.channels.indices { self.channels[index].sort() }
    }

    /// Reads the topics in the statistics of an nsqd. Topics and channels with invalid names are
    /// omitted. If a name occurs more than once, only its first occurrence is read.
    static func topics(in json: JSONValue, of info: NodeInfo) -> [TopicStatistics] {
        // nsqd before version 1.0 wraps the response in a member `data`.
        let topics = json.elements("topics") ?? json["data"]?.elements("topics") ?? []
        var names: Set<String> = []
        return topics.compactMap { TopicStatistics($0, of: info) }
            .filter { names.insert($0.name).inserted }
    }

    private init?(_ json: JSONValue, of info: NodeInfo) {
        name = json.text("topic_name")
        guard TopicName(name) != nil else { return nil }
        node = info.httpAddress
        hostname = info.hostname
        depth = json.count("depth")
        backendDepth = json.count("backend_depth")
        messageCount = json.count("message_count")
        localCounts = LocalCounts(json)
        isPaused = json.flag("paused")
        latency = json["e2e_processing_latency"].map { LatencyPercentiles($0) } ?? latency
        var names: Set<String> = []
        for channel in json.elements("channels") ?? [] {
            let name = channel.text("channel_name")
            guard ChannelName(name) != nil, names.insert(name).inserted else { continue }
            channels.append(ChannelStatistics(channel, name: name, topic: self.name, of: info))
        }
        channels.sort { $0.name < $1.name }
    }
}
