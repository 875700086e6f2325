import NSQWire
import TallyBasics

/// A snapshot of the broker's counters.
package struct BrokerStatistics: Sendable, Equatable {
    /// The topics in the order of their names.
    package var topics: [TopicStatistics]
    /// The sessions that have published messages.
    package var producers: [ClientStatistics]
    /// The number of connected clients.
    package var connections: Int
    /// The bytes of slabs that hold messages.
    package var usedMemoryBytes: Int
    /// The bytes of slabs that wait for reuse.
    package var spareMemoryBytes: Int
    /// The bytes of other memory, by its use.
    package var accountedBytes: [MemoryAccount.Part: Int]
}

/// A snapshot of one topic's counters.
package struct TopicStatistics: Sendable, Equatable {
    package var name: TopicName
    /// The number of messages in the queue.
    package var depth: Int
    /// The number of messages in the queue beyond `--mem-queue-size`, which nsqd stores on
    /// disk. This broker computes the number for nsqd's statistics only.
    package var backendDepth: Int
    /// The number of messages published since the broker's start.
    package var messageCount: Int
    /// The size in bytes of all message bodies published since the broker's start.
    package var messageBytes: Int
    package var isPaused: Bool
    package var channels: [ChannelStatistics]
    package var latency: LatencyStatistics
}

/// A snapshot of one channel's counters.
package struct ChannelStatistics: Sendable, Equatable {
    package var name: ChannelName
    /// The number of messages in the queue.
    package var depth: Int
    /// The number of messages in the queue beyond `--mem-queue-size`, which nsqd stores on disk.
    package var backendDepth: Int
    package var inFlightCount: Int
    package var deferredCount: Int
    /// The number of messages that the channel received since the broker's start.
    package var messageCount: Int
    package var requeueCount: Int
    package var timeoutCount: Int
    /// The number of messages that expired since the broker's start.
    package var expiredCount: Int
    /// The number of messages that were moved to the failed set since the broker's start.
    package var failedCount: Int
    /// The number of deliveries after which a message is moved to the failed set; 0 for no limit.
    package var maxAttempts: Int
    package var isPaused: Bool
    package var clients: [ClientStatistics]
    package var latency: LatencyStatistics
}

/// The distribution of message latencies. The latency of a message is the time between its publish
/// and its FIN.
package struct LatencyStatistics: Sendable, Equatable {
    /// The number of messages that were finished within the sliding window.
    package var count = 0
    /// The requested quantiles; `nil` if the broker does not measure latencies.
    package var percentiles: [Percentile]?

    /// One quantile of the distribution.
    package struct Percentile: Sendable, Equatable {
        /// The quantile's rank, from 0 to 1.
        package var quantile: Double
        /// The latency at this quantile.
        package var nanoseconds: Int64
    }

    /// Merges the windows of several channels.
    init(_ windows: [LatencyWindow], _ context: BrokerContext) {
        guard !windows.isEmpty else { return }
        var all = LatencyHistogram()
        for window in windows { all.merge(window.histogram(at: context.now.monotonic)) }
        count = all.count
        percentiles = context.options.latencyPercentiles.map {
            Percentile(quantile: $0, nanoseconds: all.nanoseconds(at: $0))
        }
    }
}

/// A snapshot of one session's state and counters.
package struct ClientStatistics: Sendable, Equatable {
    package var id: SessionID
    package var clientID: String
    package var hostname: String
    package var userAgent: String
    /// The client's address with its port.
    package var address: String
    /// nsqd's code for the session's state: 0 before SUB, 3 after SUB, 4 after CLS.
    package var state: Int
    /// The count of the last RDY command.
    package var readyCount: Int
    package var inFlightCount: Int
    package var deliveredCount: Int
    package var finishCount: Int
    package var requeueCount: Int
    /// The time at which the client connected, in seconds since 1970.
    package var connectedAtSeconds: Int64
    /// The percentage of messages that the client receives; 0 for all.
    package var sampleRate: Int
    package var tls: TLSSummary?
    package var compression: Upgrade.Compression?
    package var topologyZone: String
    package var topologyRegion: String
    /// The number of messages that the client has published to each topic.
    package var publishCounts: [TopicName: Int]
    /// The client's identity; `nil` before AUTH.
    package var authorized: Identity?

    /// The client's identity in the authorization server's response.
    package struct Identity: Sendable, Equatable {
        package var name: String
        package var url: String
    }
}

extension BrokerOptions {
    /// Returns the number of messages in a queue beyond ``memoryQueueSize``. nsqd stores no
    /// messages of ephemeral topics and channels on disk.
    fileprivate func backendDepth(of depth: Int, isEphemeral: Bool) -> Int {
        isEphemeral ? 0 : max(0, depth - memoryQueueSize)
    }
}

extension Broker {
    /// Returns the counters of all topics and channels, in the order of their names, and of all
    /// sessions.
    package func statistics(at now: Timestamp) -> BrokerStatistics {
        context.setTime(now)
        for topic in topics.values where context.budget.dispatches.hasSteps {
            topic.dispatchWithinBudget()
        }
        return BrokerStatistics(
            topics: topics.values.sorted { $0.name < $1.name }.map(\.statistics),
            producers: allSessions.filter { !$0.publishCounts.byTopic.isEmpty }
                .sorted { $0.id < $1.id }.map(\.statistics),
            connections: allSessions.count,
            usedMemoryBytes: memoryBytes.used,
            spareMemoryBytes: memoryBytes.spare,
            accountedBytes: Dictionary(
                uniqueKeysWithValues: MemoryAccount.Part.allCases.map { ($0, context.memory[$0]) }))
    }
}

extension Topic {
    fileprivate var statistics: TopicStatistics {
        TopicStatistics(
            name: name, depth: depth,
            backendDepth: context.options.backendDepth(of: depth, isEphemeral: name.isEphemeral),
            messageCount: counts.messages, messageBytes: counts.bytes, isPaused: isPaused,
            channels: sortedChannels.map(\.statistics),
            latency: LatencyStatistics(channels.compactMap(\.latency), context))
    }
}

extension Channel {
    fileprivate var statistics: ChannelStatistics {
        ChannelStatistics(
            name: name, depth: depth,
            backendDepth: context.options.backendDepth(
                of: depth, isEphemeral: name.isEphemeral || topic.name.isEphemeral),
            inFlightCount: deliveries.inFlightCount,
            deferredCount: deliveries.deferredCount, messageCount: messageCount,
            requeueCount: deliveries.requeueCount, timeoutCount: deliveries.timeoutCount,
            expiredCount: expiredCount, failedCount: failedCount, maxAttempts: maxAttempts,
            isPaused: isPaused,
            clients: consumers.sessions.map(\.statistics),
            latency: LatencyStatistics(latency.map { [$0] } ?? [], context))
    }
}

extension Session {
    fileprivate var statistics: ClientStatistics {
        ClientStatistics(
            id: id, clientID: settings.clientID, hostname: settings.hostname,
            userAgent: settings.userAgent, address: address, state: stateNumber,
            readyCount: subscription.readyCount, inFlightCount: subscription.inFlightCount,
            deliveredCount: subscription.deliveredCount, finishCount: subscription.finishCount,
            requeueCount: subscription.requeueCount,
            connectedAtSeconds: connectedAt.wall / 1_000_000_000, sampleRate: settings.sampleRate,
            tls: tls, compression: compression, topologyZone: settings.topologyZone,
            topologyRegion: settings.topologyRegion, publishCounts: publishCounts.byTopic,
            authorized: authorization.map { .init(name: $0.identity, url: $0.identityURL) })
    }

    /// nsqd's number of the state in `/stats`.
    private var stateNumber: Int {
        switch phase {
        case .awaitingMagic, .initial: 0
        case .subscribed: 3
        case .closing, .ended: 4
        }
    }
}
