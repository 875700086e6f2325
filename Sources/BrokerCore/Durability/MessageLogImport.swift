import NSQWire
import TallyBasics

/// An import of another broker's topics, channels and messages into a message log. A broker that
/// starts with this log recovers the imported messages.
///
/// In nsqd, each channel has its own queue; in this broker, messages belong to their topic. A
/// message from the queue of one channel is therefore appended as published to the topic and as
/// finished by all other channels. Only one segment is in memory at a time.
package final class MessageLogImport {
    private let log: any MessageLog
    private let slabs = SlabPool()
    private let channels: [TopicName: [ChannelName]]
    /// The ordinal after the last imported message, by topic.
    private var publishedEnds: [TopicName: Int] = [:]
    private var lastSerial: UInt64
    private var open: OpenSegment?

    private struct OpenSegment {
        var topic: TopicName
        var channel: ChannelName?
        var segment: Segment
        var updated: [DeliveryRecord] = []
    }

    /// Appends all topics and channels to the log.
    ///
    /// - Parameter topics: all topics with their channels. The import ignores
    ///   ``TopicSnapshot/isPaused``; call ``pause(_:)`` instead.
    package init(
        into log: any MessageLog, topics: [TopicSnapshot], at now: Timestamp
    ) throws(MessageLogError) {
        self.log = log
        channels = Dictionary(
            topics.map { ($0.name, $0.channels.map(\.name)) }, uniquingKeysWith: { $0 + $1 })
        lastSerial = UInt64(clamping: now.wall) >> 16
        for topic in topics {
            log.append(.topicCreated(topic.name))
            for channel in topic.channels {
                log.append(.channelCreated(topic.name, channel.name))
                guard channel.isPaused else { continue }
                log.append(.channelPaused(topic.name, channel.name, true))
            }
        }
        _ = try log.flush()
    }

    /// Adds a message.
    ///
    /// - Parameters:
    ///   - attempts: the number of times that the channel has delivered the message.
    ///   - channel: the only channel that has not finished the message; `nil` if
    ///     no channel has finished it.
    package func add(
        _ body: Bytes, timestampNanoseconds: Int64, attempts: UInt16, to channel: ChannelName?,
        of topic: TopicName
    ) throws(MessageLogError) {
        if open?.topic != topic || open?.channel != channel { try flush() }
        if open?.segment.append(body, timestampNanoseconds: timestampNanoseconds) != true {
            try flush()
            open = OpenSegment(
                topic: topic, channel: channel, segment: segment(for: body.count, of: topic))
            open!.segment.append(body, timestampNanoseconds: timestampNanoseconds)
        }
        guard attempts > 0, let segment = open?.segment else { return }
        open!.updated.append(
            DeliveryRecord(
                serial: segment.serial, index: segment.count - 1, attempts: attempts, due: 0))
    }

    /// Pauses a topic, which then holds all messages added later. Messages for single channels must
    /// be added before.
    package func pause(_ topic: TopicName) throws(MessageLogError) {
        try flush()
        log.append(.topicPaused(topic, true))
        _ = try log.flush()
    }

    /// Writes the messages that were added since the last flush.
    package func flush() throws(MessageLogError) {
        guard let done = open else { return }
        open = nil
        let segment = done.segment
        log.append(0..<segment.count, of: segment, in: done.topic, as: .published)
        if let channel = done.channel {
            let run = MessageRun(serial: segment.serial, first: 0, count: segment.count)
            for other in channels[done.topic] ?? [] where other != channel {
                log.append(.finished(done.topic, other, [run]))
            }
            if !done.updated.isEmpty {
                log.append(
                    .deliveriesUpdated(done.topic, channel, done.updated, writtenAt: nil))
            }
        }
        _ = try log.flush()
        publishedEnds[done.topic] = segment.endOrdinal
    }

    private func segment(for bodyBytes: Int, of topic: TopicName) -> Segment {
        lastSerial += 1
        let least = Segment.byteCount(bodyBytes: bodyBytes)
        return Segment(
            serial: lastSerial, firstOrdinal: publishedEnds[topic, default: 0], isDeferred: false,
            slab: slabs.slab(of: max(SlabPool.fullSlabBytes, least)))
    }
}
