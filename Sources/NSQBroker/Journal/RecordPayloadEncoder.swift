import BrokerCore
import NSQWire

/// An encoder for the part of a record's payload that precedes the message frames.
struct RecordPayloadEncoder {
    private(set) var bytes: [UInt8]

    /// The size of one encoded delivery, in bytes.
    static let deliveryBytes = 24

    init(_ bytes: consuming [UInt8] = []) { self.bytes = bytes }

    func finish() -> [UInt8] { bytes }

    mutating func append(_ topics: [TopicSnapshot]) {
        bytes.append(little: UInt32(topics.count))
        for topic in topics {
            append(topic.name.text)
            bytes.append(topic.isPaused ? 1 : 0)
            bytes.append(little: UInt32(topic.channels.count))
            for channel in topic.channels {
                append(channel.name.text)
                bytes.append(channel.isPaused ? 1 : 0)
            }
        }
    }

    /// Encodes a change.
    ///
    /// - Returns: the kind of the record.
    mutating func append(_ change: LogRecord) -> RecordKind {
        switch change {
        case .topicCreated(let topic): return append(topic, as: .topicCreated)
        case .topicDeleted(let topic): return append(topic, as: .topicDeleted)
        case .topicPaused(let topic, let isPaused):
            defer { bytes.append(isPaused ? 1 : 0) }
            return append(topic, as: .topicPaused)
        case .topicEmptied(let topic): return append(topic, as: .topicEmptied)
        case .dispatched(let topic): return append(topic, as: .dispatched)
        case .topicHeld(let topic): return append(topic, as: .topicHeld)
        case .topicStarted(let topic): return append(topic, as: .topicStarted)
        case .channelCreated(let topic, let channel):
            return append(topic, channel, as: .channelCreated)
        case .channelDeleted(let topic, let channel):
            return append(topic, channel, as: .channelDeleted)
        case .channelPaused(let topic, let channel, let isPaused):
            defer { bytes.append(isPaused ? 1 : 0) }
            return append(topic, channel, as: .channelPaused)
        case .channelEmptied(let topic, let channel):
            return append(topic, channel, as: .channelEmptied)
        case .finished(let topic, let channel, let runs):
            defer { append(runs) }
            return append(topic, channel, as: .finished)
        case .delivered(let topic, let channel, let runs):
            defer { append(runs) }
            return append(topic, channel, as: .delivered)
        case .deliveriesUpdated(let topic, let channel, let deliveries, let writtenAt):
            defer { append(deliveries, writtenAt: writtenAt) }
            return append(topic, channel, as: .deliveriesUpdated)
        }
    }

    /// Encodes which messages the record contains: their topic, segment, ordinals and indexes, and
    /// the values that their kind adds, such as deadlines. The messages themselves follow.
    ///
    /// - Returns: the kind of the record.
    mutating func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: MessageRecordKind
    ) -> RecordKind {
        append(topic.text)
        bytes.append(little: segment.serial)
        bytes.append(little: Int64(segment.firstOrdinal))
        bytes.append(little: UInt32(indexes.lowerBound))
        bytes.append(little: UInt32(indexes.count))
        switch kind {
        case .published: return .published
        case .deferred(let dues):
            for due in dues { bytes.append(little: due) }
            return .deferred
        case .relocated(let dispatchedEnd):
            bytes.append(little: Int64(dispatchedEnd))
            return .relocated
        case .relocatedDeferred(let dues):
            for due in dues { bytes.append(little: due) }
            return .relocatedDeferred
        }
    }

    private mutating func append(_ topic: TopicName, as kind: RecordKind) -> RecordKind {
        append(topic.text)
        return kind
    }

    private mutating func append(
        _ topic: TopicName, _ channel: ChannelName, as kind: RecordKind
    ) -> RecordKind {
        append(topic.text)
        append(channel.text)
        return kind
    }

    private mutating func append(_ runs: [MessageRun]) {
        for run in runs {
            bytes.append(little: run.serial)
            bytes.append(little: UInt32(run.first))
            bytes.append(little: UInt32(run.count))
        }
    }

    /// Appends deliveries, and then the time at which the record was written. Earlier versions of
    /// tally write no time. When they read such a record, they ignore the time, because it takes
    /// fewer bytes than a delivery.
    private mutating func append(_ deliveries: [DeliveryRecord], writtenAt: Int64?) {
        for delivery in deliveries {
            bytes.append(little: delivery.serial)
            bytes.append(little: UInt32(delivery.index))
            bytes.append(little: UInt32(delivery.attempts))
            bytes.append(little: delivery.due)
        }
        if let writtenAt { bytes.append(little: writtenAt) }
    }

    /// Appends a name after its length in one byte. NSQ limits names to 64 bytes.
    private mutating func append(_ name: String) {
        bytes.append(UInt8(name.utf8.count))
        bytes += name.utf8
    }
}
