import BrokerCore
import NSQWire

/// A decoder for a payload with a valid checksum. The decoder still checks each length and count,
/// so that no payload can cause a read beyond the payload's end.
struct RecordPayloadDecoder {
    private let bytes: Bytes
    private var offset = 0

    /// The exclusive upper bound of serial numbers and ordinals. No broker runs long enough to reach
    /// it, and arithmetic with smaller numbers does not overflow.
    private static let endOfNumbers = 1 << 62

    init(_ bytes: Bytes) { self.bytes = bytes }

    mutating func record(_ kind: RecordKind) -> DecodedRecord? {
        switch kind {
        case .topics: topics().map { .topics($0) }
        case .published, .deferred, .relocated, .relocatedDeferred: messages(kind)
        case .topicCreated: topic().map { .change(.topicCreated($0)) }
        case .topicDeleted: topic().map { .change(.topicDeleted($0)) }
        case .topicEmptied: topic().map { .change(.topicEmptied($0)) }
        case .dispatched: topic().map { .change(.dispatched($0)) }
        case .topicHeld: topic().map { .change(.topicHeld($0)) }
        case .topicStarted: topic().map { .change(.topicStarted($0)) }
        case .topicPaused: pausedTopic()
        default: channelChange(kind)
        }
    }

    private mutating func pausedTopic() -> DecodedRecord? {
        guard let topic = topic(), let flag = flag() else { return nil }
        return .change(.topicPaused(topic, flag))
    }

    private mutating func channelChange(_ kind: RecordKind) -> DecodedRecord? {
        guard let topic = topic(), let channel = channel() else { return nil }
        switch kind {
        case .channelCreated: return .change(.channelCreated(topic, channel))
        case .channelDeleted: return .change(.channelDeleted(topic, channel))
        case .channelEmptied: return .change(.channelEmptied(topic, channel))
        case .channelPaused: return flag().map { .change(.channelPaused(topic, channel, $0)) }
        case .finished: return .change(.finished(topic, channel, runs()))
        case .delivered: return .change(.delivered(topic, channel, runs()))
        case .deliveriesUpdated:
            let deliveries = deliveries()
            return .change(
                .deliveriesUpdated(topic, channel, deliveries, writtenAt: number(Int64.self)))
        default: return nil
        }
    }

    private mutating func messages(_ kind: RecordKind) -> DecodedRecord? {
        guard let topic = topic(), let serial = number(UInt64.self), serial < Self.endOfNumbers,
            let firstOrdinal = number(Int64.self), firstOrdinal >= 0,
            firstOrdinal < Self.endOfNumbers, let first = number(UInt32.self),
            let count = number(UInt32.self), Int(first) + Int(count) <= Segment.maxCount,
            let recordKind = messageKind(kind, count: Int(count))
        else { return nil }
        let frames = bytes.view(offset..<bytes.count)
        let messages = RecoveredMessages(
            topic: topic, run: MessageRun(serial: serial, first: Int(first), count: Int(count)),
            firstOrdinal: Int(firstOrdinal), byteCount: frames.count, kind: recordKind,
            publishTimes: kind.isDeferred ? Self.publishTimes(of: frames) : [])
        return .messages(messages, frames)
    }

    private static func publishTimes(of frames: Bytes) -> [Int64] {
        var times: [Int64] = []
        var offset = 0
        while frames.count - offset >= MessageFrame.bodyOffset {
            times.append(
                frames.bigEndian(at: offset + MessageFrame.timestampOffset, as: Int64.self))
            offset += MessageFrame.byteCount(of: frames, at: offset)
        }
        return times
    }

    private mutating func messageKind(_ kind: RecordKind, count: Int) -> MessageRecordKind? {
        switch kind {
        case .deferred: dues(count).map { .deferred($0) }
        case .relocatedDeferred: dues(count).map { .relocatedDeferred($0) }
        case .relocated: number(Int64.self).map { .relocated(dispatchedEnd: Int($0)) }
        default: .published
        }
    }

    private mutating func dues(_ count: Int) -> [Int64]? {
        guard bytes.count - offset >= 8 * count else { return nil }
        return (0..<count).map { _ in number(Int64.self)! }
    }

    private mutating func topics() -> [TopicSnapshot]? {
        guard let count = number(UInt32.self) else { return nil }
        var topics: [TopicSnapshot] = []
        for _ in 0..<count {
            guard let name = topic(), let isPaused = flag(), let channels = number(UInt32.self)
            else { return nil }
            var topic = TopicSnapshot(name: name, isPaused: isPaused, channels: [])
            for _ in 0..<channels {
                guard let name = channel(), let isPaused = flag() else { return nil }
                topic.channels.append(.init(name: name, isPaused: isPaused))
            }
            topics.append(topic)
        }
        return topics
    }

    private mutating func runs() -> [MessageRun] {
        var runs: [MessageRun] = []
        while let serial = number(UInt64.self), let first = number(UInt32.self),
            let count = number(UInt32.self)
        {
            runs.append(MessageRun(serial: serial, first: Int(first), count: Int(count)))
        }
        return runs
    }

    private mutating func deliveries() -> [DeliveryRecord] {
        var deliveries: [DeliveryRecord] = []
        // A record can end with the time at which it was written, which takes fewer bytes than a
        // delivery. So the loop ends before that time.
        while bytes.count - offset >= RecordPayloadEncoder.deliveryBytes,
            let serial = number(UInt64.self), let index = number(UInt32.self),
            let attempts = number(UInt32.self), let due = number(Int64.self)
        {
            deliveries.append(
                DeliveryRecord(
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
