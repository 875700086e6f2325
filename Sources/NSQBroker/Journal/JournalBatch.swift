import BrokerCore
import NSQWire
import Transport

/// The records that the journal appends with its next write.
struct JournalBatch {
    struct Record {
        var kind: RecordKind
        /// The payload bytes that precede the message frames.
        var head: [UInt8]
        /// The message frames, in the memory of their segment. The segment's memory does not change
        /// before the write.
        var frames: Bytes?
        /// The serial number of the messages' segment; `nil` if the record contains no messages.
        var serial: UInt64?

        var payloadBytes: Int { head.count + (frames?.count ?? 0) }
        var byteCount: Int { JournalFormat.recordBytes(payload: payloadBytes) }
        /// `true` if the record contains new messages, which the journal does not contain yet.
        var isPublished: Bool { kind == .published || kind == .deferred }
        /// The number of record bytes outside the segment's memory.
        var ownBytes: Int { byteCount - (frames?.count ?? 0) }
    }

    private(set) var records: [Record] = []
    private(set) var byteCount = 0
    /// The number of new messages in the batch.
    private(set) var messageCount = 0
    /// The changes to topics and channels in the batch.
    private(set) var changes: [LogRecord] = []

    var isEmpty: Bool { records.isEmpty }
    var hasPublished: Bool { messageCount > 0 }

    mutating func append(_ change: LogRecord) {
        var writer = RecordPayloadEncoder()
        let kind = writer.append(change)
        append(Record(kind: kind, head: writer.finish()))
        if kind.rawValue < RecordKind.finished.rawValue { changes.append(change) }
    }

    mutating func append(_ topics: [TopicSnapshot]) {
        var writer = RecordPayloadEncoder()
        writer.append(topics)
        append(Record(kind: .topics, head: writer.finish()))
    }

    mutating func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: MessageRecordKind
    ) {
        var rest = indexes
        while !rest.isEmpty {
            let end = segment.end(of: rest, within: JournalFormat.messageBytesPerRecord)
            let part = rest.lowerBound..<end
            var writer = RecordPayloadEncoder()
            let recordKind = writer.append(
                part, of: segment, in: topic, as: kind.part(part, of: indexes))
            append(
                Record(
                    kind: recordKind, head: writer.finish(), frames: segment.frames(of: part),
                    serial: segment.serial))
            rest = end..<rest.upperBound
        }
        switch kind {
        case .published, .deferred: messageCount += indexes.count
        case .relocated, .relocatedDeferred: break
        }
    }

    private mutating func append(_ record: Record) {
        records.append(record)
        byteCount += record.byteCount
    }

    /// Removes the records of messages. The memory of their segments may change afterwards.
    ///
    /// - Parameter publishedOnly: `true` removes only newly published messages; `false` also removes
    ///   relocated messages.
    mutating func removeMessages(publishedOnly: Bool) {
        records.removeAll { publishedOnly ? $0.isPublished : $0.frames != nil }
        byteCount = records.reduce(0) { $0 + $1.byteCount }
        messageCount = 0
    }

    mutating func removeAll() { self = JournalBatch() }
}

extension MessageRecordKind {
    /// Returns the same kind with the deadlines of only some of the messages.
    ///
    /// - Parameters:
    ///   - part: the indexes of the selected messages.
    ///   - all: the indexes of all messages of this kind.
    fileprivate func part(_ part: Range<Int>, of all: Range<Int>) -> MessageRecordKind {
        let indexes = part.lowerBound - all.lowerBound..<part.upperBound - all.lowerBound
        return switch self {
        case .published, .relocated: self
        case .deferred(let dues): .deferred(Array(dues[indexes]))
        case .relocatedDeferred(let dues): .relocatedDeferred(Array(dues[indexes]))
        }
    }
}
