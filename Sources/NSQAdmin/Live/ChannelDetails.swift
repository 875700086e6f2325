import UVLoop

/// Reads channels with their consumers for the pages. The result is cached for a short time, so the
/// number of browsers does not increase the number of requests.
package final class ChannelDetails: Sendable {
    /// The statistics of a channel, and the errors of nodes that did not respond.
    package struct Detail: Sendable {
        /// The sums, the nodes and the consumers; `nil` if no node has the channel or none
        /// responds.
        package var statistics: ChannelStatistics?
        /// The errors of nodes.
        package var warnings: [String]
    }

    private struct Key: Hashable {
        var topic: String
        var channel: String
    }

    private struct Entry {
        var task: Task<Detail, Never>
        /// The time when the read ended; `nil` while it is in progress.
        var endedAt: ContinuousClock.Instant?
    }

    private let api: AdminAPI
    private let entries: LockedValue<[Key: Entry]> = LockedValue([:])

    /// The time for which a result is cached.
    private static let maxAge = Duration.milliseconds(900)
    /// The maximum number of channels in the cache.
    private static let maxEntries = 64

    package init(_ api: AdminAPI) { self.api = api }

    /// Returns the statistics of a channel, from the cache if possible.
    ///
    /// - Parameter nodes: the nodes that have the channel's topic.
    package func detail(of channel: String, topic: String, at nodes: [NodeInfo]) async -> Detail {
        let now = ContinuousClock.now
        let reader = api.reader
        let task = entries.withLock { entries in
            entries = entries.filter { $0.value.endedAt.map { now - $0 < Self.maxAge } ?? true }
            let key = Key(topic: topic, channel: channel)
            if let entry = entries[key] { return entry.task }
            let isStored = entries.count < Self.maxEntries
            let task = Task {
                let detail = await Self.read(channel, topic, nodes, reader)
                if isStored { setEnd(of: key) }
                return detail
            }
            if isStored { entries[key] = Entry(task: task) }
            return task
        }
        return await task.value
    }

    private func setEnd(of key: Key) {
        entries.withLock { $0[key]?.endedAt = .now }
    }

    private static func read(
        _ channel: String, _ topic: String, _ nodes: [NodeInfo], _ reader: ClusterReader
    ) async -> Detail {
        do throws(UpstreamError) {
            let parts = try await reader.statistics(
                of: nodes, topic: topic, channel: channel, withClients: true)
            let sum = TopicStatistics(sumOf: parts.value, name: topic)
            return Detail(
                statistics: sum.channels.first { $0.name == channel },
                warnings: parts.errors.map(\.description))
        } catch {
            return Detail(statistics: nil, warnings: ["\(error)"])
        }
    }
}
