import DequeModule
import NSQWire
import TallyBasics

/// Reports of unfinished messages, which read the messages without delivering them.
extension Broker {
    /// The number of unfinished messages in all topics and channels. A message counts once for each
    /// channel that has not finished it.
    package var unfinishedCount: Int { topics.values.reduce(0) { $0 + $1.unfinishedCount } }

    /// The number of unfinished messages of each topic that has some.
    package var unfinishedCounts: [TopicName: Int] {
        topics.mapValues(\.unfinishedCount).filter { $0.value > 0 }
    }

    /// The backlogs of all topics and channels, in the order of their names.
    package func backlogs(at now: Timestamp) -> [TopicBacklog] {
        topics.values.sorted { $0.name < $1.name }.map { topic in
            TopicBacklog(
                name: topic.name, isPaused: topic.isPaused, depth: topic.depth,
                channels: topic.sortedChannels.map { $0.backlog(at: now) })
        }
    }

    /// Calls `body` with the bodies of unfinished messages, in the order in which they were
    /// published.
    ///
    /// - Parameters:
    ///   - channel: the channel whose messages are read, including messages that the topic has not
    ///     dispatched to it yet; `nil` reads each unfinished message of the topic once.
    ///   - body: the closure that receives one message body, and returns `false` to stop the
    ///     reading.
    /// - Returns: `false` if the topic or the channel does not exist.
    package func readBacklog(
        of topic: TopicName, _ channel: ChannelName?, _ body: (Bytes) -> Bool
    ) throws(MessageLogError) -> Bool {
        guard let topic = topics[topic] else { return false }
        let reader = channel.flatMap { topic.channel($0) }
        guard channel == nil || reader != nil else { return false }
        for segment in topic.segments.all {
            guard try topic.readBodies(of: segment, for: reader, body) else { break }
        }
        return true
    }

    /// Calls `body` with the messages of one queue in the order in which they were published. As in
    /// nsqd, a channel's queue contains the messages that the channel has received and not finished.
    /// A topic's queue contains the messages that the topic has not dispatched to its channels.
    ///
    /// - Parameters:
    ///   - channel: the channel; `nil` reads the queue of the topic.
    ///   - body: the closure that receives one message in its wire form, and the number of its
    ///     deliveries by the channel.
    /// - Throws: the error of reading the message log, or of `body`.
    package func readQueue(
        of topic: TopicName, _ channel: ChannelName?,
        _ body: (_ frame: Bytes, _ attempts: UInt16) throws(MessageLogError) -> Void
    ) throws(MessageLogError) {
        guard let topic = topics[topic] else { return }
        let reader = channel.flatMap { topic.channel($0) }
        guard channel == nil || reader != nil else { return }
        for segment in topic.segments.all { try topic.readQueue(of: segment, for: reader, body) }
    }
}

/// The numbers of unfinished messages of a topic, and of its channels.
package struct TopicBacklog: Sendable, Equatable {
    package var name: TopicName
    package var isPaused: Bool
    /// The number of messages that the topic has not dispatched to a channel yet, including deferred
    /// messages.
    package var depth: Int
    /// The channels in the order of their names.
    package var channels: [ChannelBacklog]
}

/// The unfinished message counts of a channel.
package struct ChannelBacklog: Sendable, Equatable {
    package var name: ChannelName
    package var isPaused: Bool
    /// The number of messages that the channel can deliver now.
    package var depth: Int
    /// The number of messages in `depth` that were delivered before. They were in flight when the
    /// broker stopped, or were requeued.
    package var deliveredBefore: Int
    /// The number of deferred messages that are not due yet.
    package var deferred: Int
}

extension Channel {
    fileprivate func backlog(at now: Timestamp) -> ChannelBacklog {
        var deferred = 0
        var deliveredBefore = 0
        for id in deliveries.ids {
            let delivery = deliveries[id]
            let isDeferred = delivery.state == .deferred && delivery.sortKey > now.monotonic
            if isDeferred { deferred += 1 }
            if !isDeferred, delivery.attempts > 0 { deliveredBefore += 1 }
        }
        return ChannelBacklog(
            name: name, isPaused: isPaused,
            depth: depth + deliveries.inFlightCount + deliveries.deferredCount - deferred,
            deliveredBefore: deliveredBefore, deferred: deferred)
    }
}

extension Topic {
    /// The number of unfinished messages in the topic and its channels. A message counts once for each
    /// channel that has not finished it.
    var unfinishedCount: Int {
        channels.reduce(depth) {
            $0 + $1.depth + $1.deliveries.inFlightCount + $1.deliveries.deferredCount
        }
    }

    /// Calls `body` with the messages of one segment.
    ///
    /// - Parameter channel: the channel that needs the messages; `nil` for any channel.
    /// - Returns: `false` if `body` has returned `false`.
    fileprivate func readBodies(
        of segment: Segment, for channel: Channel?, _ body: (Bytes) -> Bool
    ) throws(MessageLogError) -> Bool {
        func readResident() -> Bool {
            neededIndexes(of: segment, by: channel).allSatisfy { index in
                let frame = segment.frame(at: index)
                return body(frame.view(MessageFrame.bodyOffset..<frame.count))
            }
        }
        // The messages of only one segment are read into memory at a time.
        return try log?.withResident(segment, readResident) ?? readResident()
    }

    /// Calls `body` with the messages of one segment.
    ///
    /// - Parameter channel: the channel of the queue; `nil` for the topic's queue.
    fileprivate func readQueue(
        of segment: Segment, for channel: Channel?,
        _ body: (Bytes, UInt16) throws(MessageLogError) -> Void
    ) throws(MessageLogError) {
        let undispatched = self.undispatched.indexes(in: segment)
        let indexes =
            channel.map { neededIndexes(of: segment, by: $0).filter { !undispatched.contains($0) } }
            ?? undispatched.filter { segment.contains($0) }.sorted()
        guard !indexes.isEmpty else { return }
        var failure: MessageLogError?
        func readResident() -> Bool {
            do throws(MessageLogError) {
                for index in indexes {
                    let attempts = channel?.attempts(of: index, in: segment) ?? 0
                    try body(segment.frame(at: index), attempts)
                }
            } catch {
                failure = error
            }
            return failure == nil
        }
        // The messages of only one segment are read into memory at a time.
        _ = try log?.withResident(segment, readResident) ?? readResident()
        if let failure { throw failure }
    }
}

extension Channel {
    /// Returns the number of times that the channel has delivered a message.
    fileprivate func attempts(of index: Int, in segment: Segment) -> UInt16 {
        guard let id = segments[segment]?.state(of: index), id >= 0 else { return 0 }
        return deliveries[id].attempts
    }
}
