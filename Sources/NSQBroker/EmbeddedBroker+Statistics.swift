import BrokerCore
import NSQWire

extension EmbeddedBroker {
    /// The broker's counters at one point in time.
    public struct Statistics: Sendable, Equatable {
        /// The topics, sorted by name.
        public let topics: [Topic]
        /// The number of connected TCP clients.
        public let connections: Int

        /// The counters of one topic.
        public struct Topic: Sendable, Equatable {
            /// The name of the topic.
            public let name: String
            /// The number of messages that are not dispatched to a channel yet.
            public let depth: Int
            /// The number of messages published since the topic was created.
            public let messageCount: Int
            /// The total size of those messages in bytes.
            public let messageBytes: Int
            /// `true` while the topic is paused.
            public let isPaused: Bool
            /// The channels, sorted by name.
            public let channels: [Channel]
        }

        /// The counters of one channel.
        public struct Channel: Sendable, Equatable {
            /// The name of the channel.
            public let name: String
            /// The number of messages that wait for a consumer.
            public let depth: Int
            /// The number of delivered messages that consumers have not finished or requeued.
            public let inFlightCount: Int
            /// The number of deferred messages whose delay has not passed.
            public let deferredCount: Int
            /// The number of messages that the channel received since it was created.
            public let messageCount: Int
            /// The number of messages that consumers requeued.
            public let requeueCount: Int
            /// The number of deliveries that timed out.
            public let timeoutCount: Int
            /// `true` while the channel is paused.
            public let isPaused: Bool
            /// The number of subscribed consumers.
            public let clientCount: Int
        }

        init(_ statistics: BrokerStatistics?) {
            connections = statistics?.connections ?? 0
            topics = (statistics?.topics ?? []).map { topic in
                Topic(
                    name: topic.name.text, depth: topic.depth, messageCount: topic.messageCount,
                    messageBytes: topic.messageBytes, isPaused: topic.isPaused,
                    channels: topic.channels.map(Channel.init))
            }
        }
    }
}

extension EmbeddedBroker.Statistics.Channel {
    fileprivate init(_ channel: ChannelStatistics) {
        self.init(
            name: channel.name.text, depth: channel.depth, inFlightCount: channel.inFlightCount,
            deferredCount: channel.deferredCount, messageCount: channel.messageCount,
            requeueCount: channel.requeueCount, timeoutCount: channel.timeoutCount,
            isPaused: channel.isPaused, clientCount: channel.clients.count)
    }
}
