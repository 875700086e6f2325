import NSQWire

/// Fills a ledger with what another broker has left: topics, channels, and of each message which of
/// them have yet to finish it. A broker that is started on the ledger goes on from there.
///
/// Elsewhere each channel has a queue of its own; here a message is its topic's. What stands in one
/// channel's queue is noted as published, and as finished by all other channels. In memory there is
/// one segment at a time.
package final class LedgerImport {
    private let ledger: any Ledger
    private let slabs = SlabPool()
    private var topics: [NotedTopic]
    private var published: [TopicName: Int] = [:]
    private var lastSerial: UInt64
    private var open: OpenSegment?

    private struct OpenSegment {
        var topic: TopicName
        var channel: ChannelName?
        var segment: Segment
        var returned: [NotedDelivery] = []
    }

    /// - Parameter topics: all there are, with their channels. Which topics are paused is said by
    ///   ``pause(_:)``.
    package init(
        into ledger: any Ledger, topics: [NotedTopic], at now: Moment
    ) throws(LedgerError) {
        self.ledger = ledger
        self.topics = topics
        for place in topics.indices { self.topics[place].isPaused = false }
        lastSerial = UInt64(clamping: now.wall) >> 16
        for topic in topics {
            ledger.append(.topicCreated(topic.name))
            for channel in topic.channels {
                ledger.append(.channelCreated(topic.name, channel.name))
                guard channel.isPaused else { continue }
                ledger.append(.channelPaused(topic.name, channel.name, true))
            }
        }
        _ = try ledger.write()
    }

    /// Adds a message.
    ///
    /// - Parameters:
    ///   - attempts: how often the channel has delivered it.
    ///   - channel: who has yet to finish it; with `nil` all of the topic's.
    package func add(
        _ body: Bytes, timestampNanoseconds: Int64, attempts: UInt16, to channel: ChannelName?,
        of topic: TopicName
    ) throws(LedgerError) {
        if open?.topic != topic || open?.channel != channel { try flush() }
        if open?.segment.append(body, timestampNanoseconds: timestampNanoseconds) != true {
            try flush()
            open = OpenSegment(
                topic: topic, channel: channel, segment: segment(for: body.count, of: topic))
            open!.segment.append(body, timestampNanoseconds: timestampNanoseconds)
        }
        guard attempts > 0, let segment = open?.segment else { return }
        open!.returned.append(
            NotedDelivery(
                serial: segment.serial, index: segment.count - 1, attempts: attempts, due: 0))
    }

    /// From here on the topic keeps what is added. What its channels have comes before.
    package func pause(_ topic: TopicName) throws(LedgerError) {
        try flush()
        guard let place = topics.firstIndex(where: { $0.name == topic }) else { return }
        topics[place].isPaused = true
        ledger.append(.topicPaused(topic, true))
        _ = try ledger.write()
    }

    /// Writes what was added last.
    package func flush() throws(LedgerError) {
        guard let done = open else { return }
        open = nil
        let segment = done.segment
        ledger.append(0..<segment.count, of: segment, in: done.topic, as: .published)
        if let channel = done.channel {
            let run = RecordRun(serial: segment.serial, first: 0, count: segment.count)
            for other in channels(of: done.topic) where other != channel {
                ledger.append(.finished(done.topic, other, [run]))
            }
            if !done.returned.isEmpty {
                ledger.append(.returned(done.topic, channel, done.returned))
            }
        }
        _ = try ledger.write()
        published[done.topic] = segment.endOrdinal
    }

    private func channels(of topic: TopicName) -> [ChannelName] {
        topics.first { $0.name == topic }?.channels.map(\.name) ?? []
    }

    private func segment(for bodyBytes: Int, of topic: TopicName) -> Segment {
        lastSerial += 1
        let least = Segment.byteCount(bodyBytes: bodyBytes)
        return Segment(
            serial: lastSerial, firstOrdinal: published[topic, default: 0], isDeferred: false,
            slab: slabs.slab(of: max(SlabPool.fullSlabBytes, least)))
    }
}
