import TallyBasics

/// Builds a snapshot from the responses of a cluster.
extension ClusterSnapshot {
    /// Combines the responses of one poll.
    ///
    /// - Parameters:
    ///   - names: the topics that are registered at nsqlookupds.
    ///   - parts: the statistics of each topic at each node.
    ///   - time: the time of the poll, in milliseconds since 1970.
    init(
        nodes: [NodeInfo], names: [String], parts: [TopicStatistics], reached: Set<String>,
        time: Int
    ) {
        self.time = time
        var byTopic = Dictionary(grouping: parts, by: \.name)
        for name in names where byTopic[name] == nil { byTopic[name] = [] }
        topics = byTopic.map { Topic(TopicStatistics(sumOf: $1, name: $0)) }
            .sorted { $0.name < $1.name }
        let byNode = Dictionary(grouping: parts, by: \.node)
        self.nodes = nodes.map { info in
            var node = Node(info: info, hasResponded: reached.contains(info.httpAddress))
            for topic in byNode[info.httpAddress] ?? [] {
                node.topicCount += 1
                node.figures.add(QueueStatistics(topic))
            }
            return node
        }
    }

    /// Computes the rates since an earlier snapshot of the same cluster. Only nodes that are in
    /// both snapshots contribute.
    ///
    /// - Parameter seconds: the time between the two snapshots.
    mutating func setRates(since earlier: ClusterSnapshot, seconds: Double) {
        guard earlier.number > 0, seconds > 0 else { return }
        var incoming: [String: Double] = [:]
        var outgoing: [String: Double] = [:]
        for index in topics.indices {
            guard let former = earlier.topic(named: topics[index].name) else { continue }
            for rate in topics[index].setRates(since: former.statistics, seconds: seconds) {
                incoming[rate.node, default: 0] += rate.incoming
                outgoing[rate.node, default: 0] += rate.outgoing
            }
        }
        for index in nodes.indices where nodes[index].hasResponded {
            let address = nodes[index].info.httpAddress
            nodes[index].figures.setRates(
                incoming: incoming[address] ?? 0, outgoing: outgoing[address] ?? 0)
        }
    }
}

extension ClusterSnapshot.Topic {
    init(_ statistics: TopicStatistics) {
        self.statistics = statistics
        figures = QueueStatistics(statistics)
        channels = statistics.channels.map {
            ClusterSnapshot.Channel(
                name: $0.name, figures: QueueStatistics($0), isPaused: $0.isPaused)
        }
    }

    /// The messages per second of one node.
    fileprivate typealias NodeRate = (node: String, incoming: Double, outgoing: Double)

    /// - Returns: the rates of the topic at each node.
    fileprivate mutating func setRates(
        since former: TopicStatistics, seconds: Double
    ) -> [NodeRate] {
        let formerParts = Dictionary((former.nodes ?? []).map { ($0.node, $0) }) { one, _ in one }
        var rates: [NodeRate] = []
        for part in statistics.nodes ?? [] {
            guard let formerPart = formerParts[part.node] else { continue }
            // nsqd counts from 0 after a restart, so a difference may be negative.
            let messages = max(0, part.messageCount - formerPart.messageCount)
            var rate = NodeRate(part.node, Double(messages) / seconds, 0)
            for channel in part.channels {
                rate.outgoing += addRates(of: channel, since: formerPart, seconds: seconds)
            }
            rates.append(rate)
        }
        figures.setRates(
            incoming: rates.reduce(0) { $0 + $1.incoming },
            outgoing: rates.reduce(0) { $0 + $1.outgoing })
        return rates
    }

    /// Adds the rates of a channel at one node to the sums of this channel over all nodes.
    ///
    /// - Returns: the outgoing rate at the node.
    private mutating func addRates(
        of channel: ChannelStatistics, since former: TopicStatistics, seconds: Double
    ) -> Double {
        let place = former.channels.partitioningIndex { $0.name >= channel.name }
        guard place < former.channels.endIndex, former.channels[place].name == channel.name
        else { return 0 }
        let (now, before) = (QueueStatistics(channel), QueueStatistics(former.channels[place]))
        let incoming = Double(max(0, now.messages - before.messages)) / seconds
        let outgoing = Double(max(0, now.finished - before.finished)) / seconds
        let index = channels.partitioningIndex { $0.name >= channel.name }
        let sums = channels[index].figures
        channels[index].figures.setRates(
            incoming: (sums.incoming ?? 0) + incoming, outgoing: (sums.outgoing ?? 0) + outgoing)
        return outgoing
    }
}
