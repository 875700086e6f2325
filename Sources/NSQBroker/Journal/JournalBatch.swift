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
        fileprivate var ownBytes: Int { byteCount - (frames?.count ?? 0) }
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
        var writer = PayloadWriter()
        let kind = writer.append(change)
        append(Record(kind: kind, head: writer.finish()))
        if kind.rawValue < RecordKind.finished.rawValue { changes.append(change) }
    }

    mutating func append(_ topics: [TopicSnapshot]) {
        var writer = PayloadWriter()
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
            var writer = PayloadWriter()
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
    /// - Parameter publishedOnly: `true` removes only newly published messages, and not the records
    ///   of relocated ones.
    mutating func removeMessages(publishedOnly: Bool) {
        records.removeAll { publishedOnly ? $0.isPublished : $0.frames != nil }
        byteCount = records.reduce(0) { $0 + $1.byteCount }
        messageCount = 0
    }

    mutating func removeAll() { self = JournalBatch() }

    // MARK: Serializing

    /// Calls `body` once with the bytes of all records. If old bytes of a recycled file would
    /// follow the last record, an end mark is appended.
    ///
    /// - Parameters:
    ///   - file: the number of the file.
    ///   - salt: the salt of the file.
    ///   - offset: the file offset of the first record.
    ///   - recycledEnd: the file offset at which the old bytes of the recycled file end.
    ///   - body: a closure that writes the slices to the file, one after another.
    /// - Returns: the byte range of each record in the file.
    func serialize<Failure: Error>(
        in file: UInt32, salt: UInt32, at offset: Int, recycledEnd: Int,
        _ body: ([Bytes]) throws(Failure) -> Void
    ) throws(Failure) -> [Range<Int>] {
        let ownBytes = records.reduce(JournalFormat.endMarkBytes) { $0 + $1.ownBytes }
        var own = [UInt8](repeating: 0, count: ownBytes)
        var ranges: [Range<Int>] = []
        var failure: Failure?
        own.withUnsafeMutableBytes { memory in
            var slices: [Bytes] = []
            slices.reserveCapacity(2 * records.count)
            var used = 0
            var offset = offset
            for record in records {
                slices.append(Self.write(record, file, salt, offset, to: memory, &used))
                if let frames = record.frames { slices.append(frames) }
                let padding =
                    record.byteCount - JournalFormat.recordHeaderBytes
                    - record.payloadBytes
                if padding > 0 {
                    slices.append(Bytes(memory).view(used..<used + padding))
                    used += padding
                }
                ranges.append(offset..<offset + record.byteCount)
                offset += record.byteCount
            }
            let mark = min(max(0, recycledEnd - offset), JournalFormat.endMarkBytes)
            if mark > 0 { slices.append(Bytes(memory).view(used..<used + mark)) }
            do throws(Failure) { try body(slices) } catch { failure = error }
        }
        if let failure { throw failure }
        return ranges
    }

    /// Writes a record's header and head to `memory`, starting at the offset `used`.
    ///
    /// - Parameter used: the number of used bytes in `memory`; increased by the number of written
    ///   bytes.
    /// - Returns: the written bytes.
    private static func write(
        _ record: Record, _ file: UInt32, _ salt: UInt32, _ offset: Int,
        to memory: UnsafeMutableRawBufferPointer, _ used: inout Int
    ) -> Bytes {
        let start = used
        used += JournalFormat.recordHeaderBytes + record.head.count
        let head = UnsafeMutableRawBufferPointer(
            rebasing: memory[start + JournalFormat.recordHeaderBytes..<used])
        head.copyBytes(from: record.head)
        var checksum = CRC32C.Running()
        checksum.update(with: Bytes(head))
        if let frames = record.frames { checksum.update(with: frames) }
        RecordHeader(
            kind: record.kind, payloadBytes: record.payloadBytes,
            payloadChecksum: checksum.value, salt: salt, file: file, offset: offset
        ).write(to: memory.baseAddress! + start)
        return Bytes(memory).view(start..<used)
    }
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
