import TallyBasics
import TallyJSON

/// The statistics of topics and channels, summed up over several nsqds.
package struct ClusterStatistics: Equatable, Sendable {
    /// The counters of a channel.
    package struct Channel: Equatable, Sendable {
        package var depth = 0
        /// The part of ``depth`` that is on disk.
        package var backendDepth = 0
        package var inFlightCount = 0
        package var deferredCount = 0
        package var requeueCount = 0
        package var timeoutCount = 0
        package var messageCount = 0
        package var clientCount = 0
        /// `true` if the channel is paused at one nsqd or more.
        package var isPaused = false
    }

    /// The counters of a topic.
    package struct Topic: Equatable, Sendable {
        /// The number of messages that are not dispatched to channels yet.
        package var depth = 0
        package var messageCount = 0
        /// `true` if the topic is paused at one nsqd or more.
        package var isPaused = false
        package var channels: [String: Channel] = [:]
    }

    /// The topics by their names.
    package var topics: [String: Topic] = [:]

    /// Creates statistics without a topic.
    package init() {}

    /// Adds the response of an nsqd to `/stats`.
    mutating func add(_ json: JSONValue) {
        // nsqd before version 1.0 wraps the response in a member `data`.
        guard case .array(let topics) = json["topics"] ?? json["data"]?["topics"] else { return }
        for topic in topics {
            guard let name = topic["topic_name"].flatMap({ String(json: $0) }) else { continue }
            self.topics[name, default: Topic()].add(topic)
        }
    }
}

extension ClusterStatistics.Topic {
    fileprivate mutating func add(_ json: JSONValue) {
        depth.addSaturated(json.count("depth"))
        messageCount.addSaturated(json.count("message_count"))
        isPaused = isPaused || json.flag("paused")
        guard case .array(let channels) = json["channels"] else { return }
        for channel in channels {
            guard let name = channel["channel_name"].flatMap({ String(json: $0) }) else { continue }
            self.channels[name, default: ClusterStatistics.Channel()].add(channel)
        }
    }
}

extension ClusterStatistics.Channel {
    fileprivate mutating func add(_ json: JSONValue) {
        depth.addSaturated(json.count("depth"))
        backendDepth.addSaturated(json.count("backend_depth"))
        inFlightCount.addSaturated(json.count("in_flight_count"))
        deferredCount.addSaturated(json.count("deferred_count"))
        requeueCount.addSaturated(json.count("requeue_count"))
        timeoutCount.addSaturated(json.count("timeout_count"))
        messageCount.addSaturated(json.count("message_count"))
        clientCount.addSaturated(json.count("client_count"))
        isPaused = isPaused || json.flag("paused")
    }
}
