import NSQWire

/// What the broker has counted, as values: a copy that nothing changes any more.
package struct BrokerStatistics: Sendable, Equatable {
    package var topics: [TopicStatistics]
    package var producers: [ClientStatistics]
    package var connections: Int
    /// Bytes in slabs that hold messages, and in slabs kept for later.
    package var usedMemoryBytes: Int
    package var spareMemoryBytes: Int
}

package struct TopicStatistics: Sendable, Equatable {
    package var name: TopicName
    package var depth: Int
    package var messageCount: Int
    package var messageBytes: Int
    package var isPaused: Bool
    package var channels: [ChannelStatistics]
    package var latency: LatencyStatistics
}

package struct ChannelStatistics: Sendable, Equatable {
    package var name: ChannelName
    package var depth: Int
    package var inFlightCount: Int
    package var deferredCount: Int
    package var messageCount: Int
    package var requeueCount: Int
    package var timeoutCount: Int
    package var isPaused: Bool
    package var clients: [ClientStatistics]
    package var latency: LatencyStatistics
}

/// How long messages took from their publishing to their FIN.
package struct LatencyStatistics: Sendable, Equatable {
    /// Messages that were finished within the window.
    package var count = 0
    /// `nil` if nothing is kept.
    package var percentiles: [Percentile]?

    package struct Percentile: Sendable, Equatable {
        /// The part of all messages that took at most so long.
        package var quantile: Double
        package var nanoseconds: Int64
    }

    /// Of several channels together.
    init(_ windows: [LatencyWindow], _ turn: Turn) {
        guard !windows.isEmpty else { return }
        var all = LatencyHistogram()
        for window in windows { all.merge(window.histogram(at: turn.now.monotonic)) }
        count = all.count
        percentiles = turn.options.latencyPercentiles.map {
            Percentile(quantile: $0, nanoseconds: all.nanoseconds(at: $0))
        }
    }
}

package struct ClientStatistics: Sendable, Equatable {
    package var id: SessionID
    package var clientID: String
    package var hostname: String
    package var userAgent: String
    package var address: String
    /// nsqd's numbers: 0 before SUB, 3 subscribed, 4 after CLS.
    package var state: Int
    package var readyCount: Int
    package var inFlightCount: Int
    package var deliveredCount: Int
    package var finishCount: Int
    package var requeueCount: Int
    /// Seconds since 1970.
    package var connectedAtSeconds: Int64
    package var sampleRate: Int
    package var tls: TLSSummary?
    package var compression: Upgrade.Compression?
    package var topologyZone: String
    package var topologyRegion: String
    package var publishCounts: [TopicName: Int]
    /// Set once it has said AUTH.
    package var authorized: Identity?

    package struct Identity: Sendable, Equatable {
        package var name: String
        package var url: String
    }
}

extension Broker {
    /// Topics and their channels by name.
    package func statistics(at now: Moment) -> BrokerStatistics {
        turn.now = now
        for topic in topics.values { topic.handOver(turn) }
        return BrokerStatistics(
            topics: topics.values.sorted { $0.name < $1.name }.map { $0.statistics(turn) },
            producers: allSessions.filter { !$0.publishCounts.isEmpty }
                .sorted { $0.id < $1.id }.map(\.statistics),
            connections: allSessions.count,
            usedMemoryBytes: memoryBytes.used,
            spareMemoryBytes: memoryBytes.spare)
    }
}

extension Topic {
    fileprivate func statistics(_ turn: Turn) -> TopicStatistics {
        TopicStatistics(
            name: name, depth: depth, messageCount: messageCount, messageBytes: messageBytes,
            isPaused: isPaused, channels: channels.map { $0.statistics(turn) },
            latency: LatencyStatistics(channels.compactMap(\.latency), turn))
    }
}

extension Channel {
    fileprivate func statistics(_ turn: Turn) -> ChannelStatistics {
        ChannelStatistics(
            name: name, depth: depth, inFlightCount: inFlightCount, deferredCount: deferredCount,
            messageCount: messageCount, requeueCount: requeueCount, timeoutCount: timeoutCount,
            isPaused: isPaused, clients: consumers.compactMap { $0?.statistics },
            latency: LatencyStatistics(latency.map { [$0] } ?? [], turn))
    }
}

extension Session {
    fileprivate var statistics: ClientStatistics {
        ClientStatistics(
            id: id, clientID: clientID, hostname: hostname, userAgent: userAgent, address: address,
            state: stateNumber, readyCount: readyCount, inFlightCount: inFlightCount,
            deliveredCount: deliveredCount, finishCount: finishCount, requeueCount: requeueCount,
            connectedAtSeconds: connectedAt.wall / 1_000_000_000, sampleRate: sampleRate,
            tls: tls, compression: compression, topologyZone: topologyZone,
            topologyRegion: topologyRegion, publishCounts: publishCounts,
            authorized: authorization.map { .init(name: $0.identity, url: $0.identityURL) })
    }

    private var stateNumber: Int {
        switch phase {
        case .greeting, .initial: 0
        case .subscribed: 3
        case .closing, .ended: 4
        }
    }
}
