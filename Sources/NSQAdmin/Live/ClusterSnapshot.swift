import TallyBasics

/// The state of a cluster at one poll.
package struct ClusterSnapshot: Sendable {
    /// The number of the poll, from 1; 0 before the first poll.
    package var number = 0
    /// The time of the poll, in milliseconds since 1970.
    package var time = 0
    /// The nodes, sorted by host name.
    package var nodes: [Node] = []
    /// The topics, sorted by name. A topic that only nsqlookupds list has no node.
    package var topics: [Topic] = []
    /// Why the last poll failed; `nil` if it succeeded. After a failure, the other properties have
    /// the values of the last successful poll.
    package var problem: String?
    /// The errors of individual servers.
    package var warnings: [String] = []

    /// A node, and the sums of its topics.
    package struct Node: Sendable {
        package var info: NodeInfo
        /// `true` if the node has responded to the poll.
        package var hasResponded = false
        package var figures = QueueStatistics()
        package var topicCount = 0
    }

    /// A topic and its channels.
    package struct Topic: Sendable {
        package var statistics: TopicStatistics
        /// The sums over the topic and its channels.
        package var figures = QueueStatistics()
        /// The channels, sorted by name as in ``statistics``.
        package var channels: [Channel] = []

        package var name: String { statistics.name }
    }

    /// A channel of a topic.
    package struct Channel: Sendable {
        package var name: String
        package var figures = QueueStatistics()
        /// `true` if the channel is paused at one node or more.
        package var isPaused = false
    }

    /// The sums of the cluster.
    package var totals: QueueStatistics {
        topics.reduce(into: QueueStatistics()) { $0.add($1.figures) }
    }

    /// Returns a topic; `nil` if there is none with this name.
    package func topic(named name: String) -> Topic? {
        let index = topics.partitioningIndex { $0.name >= name }
        return index < topics.endIndex && topics[index].name == name ? topics[index] : nil
    }
}

/// The statistics that the pages show of a node, a topic or a channel.
package struct QueueStatistics: Equatable, Sendable {
    /// The number of messages that wait, in the topic and in its channels.
    package var depth = 0
    package var inFlight = 0
    package var deferred = 0
    package var clients = 0
    /// The number of messages since the start of the nsqds.
    package var messages = 0
    package var requeues = 0
    package var timeouts = 0
    /// The messages per second that were published; `nil` before the second poll.
    package var incoming: Double?
    /// The messages per second that consumers have finished; `nil` before the second poll.
    package var outgoing: Double?
    /// `true` if the topic or one of the channels is paused.
    package var isPaused = false

    /// The number of messages that consumers of the channels have finished, or that were removed
    /// from the channels.
    private(set) var finished = 0

    init() {}

    package init(_ channel: ChannelStatistics) {
        depth = channel.depth
        inFlight = channel.inFlightCount
        deferred = channel.deferredCount
        clients = channel.clientCount
        messages = channel.messageCount
        requeues = channel.requeueCount
        timeouts = channel.timeoutCount
        isPaused = channel.isPaused
        let unfinished = depth.addingSaturated(inFlight).addingSaturated(deferred)
        finished = max(0, messages.subtractingSaturated(unfinished))
    }

    /// Creates the sums over a topic and its channels.
    package init(_ topic: TopicStatistics) {
        for channel in topic.channels { add(QueueStatistics(channel)) }
        depth.addSaturated(topic.depth)
        // A message counts once in the topic, and not once for the copy in each channel.
        messages = topic.messageCount
        isPaused = isPaused || topic.isPaused
    }

    mutating func add(_ other: QueueStatistics) {
        depth.addSaturated(other.depth)
        inFlight.addSaturated(other.inFlight)
        deferred.addSaturated(other.deferred)
        clients.addSaturated(other.clients)
        messages.addSaturated(other.messages)
        requeues.addSaturated(other.requeues)
        timeouts.addSaturated(other.timeouts)
        finished.addSaturated(other.finished)
        if let rate = other.incoming { incoming = (incoming ?? 0) + rate }
        if let rate = other.outgoing { outgoing = (outgoing ?? 0) + rate }
        isPaused = isPaused || other.isPaused
    }

    /// Sets the messages per second.
    mutating func setRates(incoming: Double, outgoing: Double) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    /// The time in seconds until no message waits, if the rates stay the same; `nil` if the depth
    /// does not decrease.
    package var secondsToDrain: Double? {
        guard depth > 0, let incoming, let outgoing, outgoing > incoming else { return nil }
        return Double(depth) / (outgoing - incoming)
    }
}
