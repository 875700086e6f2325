import DequeModule
import NSQWire

/// What is not finished, looked at without being handed out.
extension Broker {
    /// Topics and their channels by name.
    package func backlogs(at now: Moment) -> [TopicBacklog] {
        topics.values.sorted { $0.name < $1.name }.map { topic in
            TopicBacklog(
                name: topic.name, isPaused: topic.isPaused, depth: topic.depth,
                channels: topic.channels.map { $0.backlog(at: now) })
        }
    }

    /// Hands over the bodies of the messages that are not finished, in the order in which they
    /// were published, until `take` returns `false`.
    ///
    /// - Parameter channel: whose messages they are to be, and those that the topic still keeps for
    ///   it; with `nil`, what any channel needs, once.
    /// - Returns: `false` if there is no such topic or channel.
    package func readBacklog(
        of topic: TopicName, _ channel: ChannelName?, _ take: (Bytes) -> Bool
    ) throws(LedgerError) -> Bool {
        guard let topic = topics[topic] else { return false }
        let reader = topic.channels.first { $0.name == channel }
        guard channel == nil || reader != nil else { return false }
        for segment in topic.segments {
            guard try topic.read(segment, for: reader, turn, take) else { break }
        }
        return true
    }
}

/// How much of a topic is not finished.
package struct TopicBacklog: Sendable, Equatable {
    package var name: TopicName
    package var isPaused: Bool
    /// Messages that no channel has yet, deferred ones among them.
    package var depth: Int
    package var channels: [ChannelBacklog]
}

package struct ChannelBacklog: Sendable, Equatable {
    package var name: ChannelName
    package var isPaused: Bool
    /// Messages that can be delivered now.
    package var depth: Int
    /// Those among them that were delivered before: they were in flight at the end, or requeued.
    package var deliveredBefore: Int
    /// Messages whose time has yet to come.
    package var deferred: Int
}

extension Channel {
    fileprivate func backlog(at now: Moment) -> ChannelBacklog {
        var deferred = 0
        var deliveredBefore = 0
        for id in deliveries.live {
            let delivery = deliveries[id]
            let isDeferred = delivery.state == .deferred && delivery.due > now.monotonic
            if isDeferred { deferred += 1 }
            if !isDeferred, delivery.attempts > 0 { deliveredBefore += 1 }
        }
        return ChannelBacklog(
            name: name, isPaused: isPaused,
            depth: depth + inFlightCount + deferredCount - deferred,
            deliveredBefore: deliveredBefore, deferred: deferred)
    }
}

extension Topic {
    /// - Returns: whether there is to be more.
    fileprivate func read(
        _ segment: Segment, for channel: Channel?, _ turn: Turn, _ take: (Bytes) -> Bool
    ) throws(LedgerError) -> Bool {
        let wasResident = segment.isResident
        if !wasResident, let ledger { _ = try segment.pageIn(from: ledger, turn.slabs) }
        // One after the other, however many there are.
        defer { if !wasResident { segment.pageOut(turn.slabs) } }
        for index in neededIndexes(of: segment, by: channel) {
            let frame = segment.frame(at: index)
            guard take(frame.view(MessageFrame.bodyOffset..<frame.count)) else { return false }
        }
        return true
    }

    /// Ascending.
    private func neededIndexes(of segment: Segment, by channel: Channel?) -> [Int] {
        guard let channel else { return neededIndexes(of: segment) }
        return heldIndexes(of: segment).union(channel.neededIndexes(of: segment))
            .filter { segment.holds($0) }.sorted()
    }
}
