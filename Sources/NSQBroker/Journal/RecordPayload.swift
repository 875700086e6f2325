import BrokerCore
import NSQWire

/// What a record says, as a value.
enum JournalRecord {
    case topics([NotedTopic])
    case change(LedgerChange)
    /// Messages: what they are, and their frames.
    case messages(RecoveredMessages, Bytes)

    init?(_ kind: RecordKind, _ payload: Bytes) {
        var reader = PayloadReader(payload)
        guard let record = reader.record(kind) else { return nil }
        self = record
    }
}

/// Writes what stands in a payload before any frames.
struct PayloadWriter {
    private(set) var bytes: [UInt8]

    init(_ bytes: consuming [UInt8] = []) { self.bytes = bytes }

    func finish() -> [UInt8] { bytes }

    mutating func append(_ topics: [NotedTopic]) {
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

    /// - Returns: the record's kind.
    mutating func append(_ change: LedgerChange) -> RecordKind {
        switch change {
        case .topicCreated(let topic): return append(topic, as: .topicCreated)
        case .topicDeleted(let topic): return append(topic, as: .topicDeleted)
        case .topicPaused(let topic, let isPaused):
            defer { bytes.append(isPaused ? 1 : 0) }
            return append(topic, as: .topicPaused)
        case .topicEmptied(let topic): return append(topic, as: .topicEmptied)
        case .handedOver(let topic): return append(topic, as: .handedOver)
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
        case .returned(let topic, let channel, let deliveries):
            defer { append(deliveries) }
            return append(topic, channel, as: .returned)
        }
    }

    /// - Returns: the record's kind.
    mutating func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: NotedMessages
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
        case .moved(let released):
            bytes.append(little: Int64(released))
            return .moved
        case .movedDeferred(let dues):
            for due in dues { bytes.append(little: due) }
            return .movedDeferred
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

    private mutating func append(_ runs: [RecordRun]) {
        for run in runs {
            bytes.append(little: run.serial)
            bytes.append(little: UInt32(run.first))
            bytes.append(little: UInt32(run.count))
        }
    }

    private mutating func append(_ deliveries: [NotedDelivery]) {
        for delivery in deliveries {
            bytes.append(little: delivery.serial)
            bytes.append(little: UInt32(delivery.index))
            bytes.append(little: UInt32(delivery.attempts))
            bytes.append(little: delivery.due)
        }
    }

    /// Names are 64 bytes at the most.
    private mutating func append(_ name: String) {
        bytes.append(UInt8(name.utf8.count))
        bytes += name.utf8
    }
}

/// Reads a payload. It was written by us, and its checksum is right; still nothing in it is
/// believed that would reach beyond its end.
private struct PayloadReader {
    private let bytes: Bytes
    private var offset = 0

    init(_ bytes: Bytes) { self.bytes = bytes }

    mutating func record(_ kind: RecordKind) -> JournalRecord? {
        switch kind {
        case .topics: topics().map { .topics($0) }
        case .published, .deferred, .moved, .movedDeferred: messages(kind)
        case .topicCreated: topic().map { .change(.topicCreated($0)) }
        case .topicDeleted: topic().map { .change(.topicDeleted($0)) }
        case .topicEmptied: topic().map { .change(.topicEmptied($0)) }
        case .handedOver: topic().map { .change(.handedOver($0)) }
        case .topicHeld: topic().map { .change(.topicHeld($0)) }
        case .topicStarted: topic().map { .change(.topicStarted($0)) }
        case .topicPaused: pausedTopic()
        default: channelChange(kind)
        }
    }

    private mutating func pausedTopic() -> JournalRecord? {
        guard let topic = topic(), let flag = flag() else { return nil }
        return .change(.topicPaused(topic, flag))
    }

    private mutating func channelChange(_ kind: RecordKind) -> JournalRecord? {
        guard let topic = topic(), let channel = channel() else { return nil }
        switch kind {
        case .channelCreated: return .change(.channelCreated(topic, channel))
        case .channelDeleted: return .change(.channelDeleted(topic, channel))
        case .channelEmptied: return .change(.channelEmptied(topic, channel))
        case .channelPaused: return flag().map { .change(.channelPaused(topic, channel, $0)) }
        case .finished: return .change(.finished(topic, channel, runs()))
        case .delivered: return .change(.delivered(topic, channel, runs()))
        case .returned: return .change(.returned(topic, channel, deliveries()))
        default: return nil
        }
    }

    private mutating func messages(_ kind: RecordKind) -> JournalRecord? {
        guard let topic = topic(), let serial = number(UInt64.self),
            let firstOrdinal = number(Int64.self), let first = number(UInt32.self),
            let count = number(UInt32.self), Int(first) + Int(count) <= Segment.maxCount,
            let noted = messageKind(kind, count: Int(count))
        else { return nil }
        let frames = bytes.view(offset..<bytes.count)
        let messages = RecoveredMessages(
            topic: topic, run: RecordRun(serial: serial, first: Int(first), count: Int(count)),
            firstOrdinal: Int(firstOrdinal), byteCount: frames.count, kind: noted)
        return .messages(messages, frames)
    }

    private mutating func messageKind(_ kind: RecordKind, count: Int) -> NotedMessages? {
        switch kind {
        case .deferred: dues(count).map { .deferred($0) }
        case .movedDeferred: dues(count).map { .movedDeferred($0) }
        case .moved: number(Int64.self).map { .moved(released: Int($0)) }
        default: .published
        }
    }

    private mutating func dues(_ count: Int) -> [Int64]? {
        guard bytes.count - offset >= 8 * count else { return nil }
        return (0..<count).map { _ in number(Int64.self)! }
    }

    private mutating func topics() -> [NotedTopic]? {
        guard let count = number(UInt32.self) else { return nil }
        var topics: [NotedTopic] = []
        for _ in 0..<count {
            guard let name = topic(), let isPaused = flag(), let channels = number(UInt32.self)
            else { return nil }
            var topic = NotedTopic(name: name, isPaused: isPaused, channels: [])
            for _ in 0..<channels {
                guard let name = channel(), let isPaused = flag() else { return nil }
                topic.channels.append(.init(name: name, isPaused: isPaused))
            }
            topics.append(topic)
        }
        return topics
    }

    private mutating func runs() -> [RecordRun] {
        var runs: [RecordRun] = []
        while let serial = number(UInt64.self), let first = number(UInt32.self),
            let count = number(UInt32.self)
        {
            runs.append(RecordRun(serial: serial, first: Int(first), count: Int(count)))
        }
        return runs
    }

    private mutating func deliveries() -> [NotedDelivery] {
        var deliveries: [NotedDelivery] = []
        while let serial = number(UInt64.self), let index = number(UInt32.self),
            let attempts = number(UInt32.self), let due = number(Int64.self)
        {
            deliveries.append(
                NotedDelivery(
                    serial: serial, index: Int(index),
                    attempts: UInt16(truncatingIfNeeded: attempts), due: due))
        }
        return deliveries
    }

    private mutating func flag() -> Bool? { number(UInt8.self).map { $0 != 0 } }

    private mutating func topic() -> TopicName? { name().flatMap { TopicName($0) } }

    private mutating func channel() -> ChannelName? { name().flatMap { ChannelName($0) } }

    private mutating func name() -> String? {
        guard let count = number(UInt8.self), bytes.count - offset >= count else { return nil }
        defer { offset += Int(count) }
        return String(decoding: bytes.view(offset..<offset + Int(count)), as: UTF8.self)
    }

    private mutating func number<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> T? {
        guard bytes.count - offset >= MemoryLayout<T>.size else { return nil }
        defer { offset += MemoryLayout<T>.size }
        return bytes.little(at: offset, as: type)
    }
}
