import BrokerCore
import NSQWire
import Transport

/// Records that are to be written together.
struct JournalBatch {
    struct Staged {
        var kind: RecordKind
        /// What stands before any frames.
        var head: [UInt8]
        /// In their segment's memory, which stays as it is until the write.
        var frames: Bytes?
        var serial: UInt64?

        var payloadBytes: Int { head.count + (frames?.count ?? 0) }
        var byteCount: Int { JournalFormat.recordBytes(payload: payloadBytes) }
        /// The first time that the messages are written.
        var isPublished: Bool { kind == .published || kind == .deferred }
    }

    private(set) var records: [Staged] = []
    private(set) var byteCount = 0
    private(set) var messageCount = 0
    /// What becomes of topics and channels by it.
    private(set) var changes: [LedgerChange] = []

    var isEmpty: Bool { records.isEmpty }
    var hasPublished: Bool { messageCount > 0 }

    mutating func append(_ change: LedgerChange) {
        var writer = PayloadWriter()
        let kind = writer.append(change)
        append(Staged(kind: kind, head: writer.finish()))
        if kind.rawValue < RecordKind.finished.rawValue { changes.append(change) }
    }

    mutating func append(_ topics: [NotedTopic]) {
        var writer = PayloadWriter()
        writer.append(topics)
        append(Staged(kind: .topics, head: writer.finish()))
    }

    mutating func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: NotedMessages
    ) {
        var left = indexes
        while !left.isEmpty {
            let end = segment.end(of: left, within: JournalFormat.messageBytesPerRecord)
            let part = left.lowerBound..<end
            var writer = PayloadWriter()
            let recordKind = writer.append(
                part, of: segment, in: topic, as: kind.part(part, of: indexes))
            append(
                Staged(
                    kind: recordKind, head: writer.finish(), frames: segment.frames(of: part),
                    serial: segment.serial))
            left = end..<left.upperBound
        }
        switch kind {
        case .published, .deferred: messageCount += indexes.count
        case .moved, .movedDeferred: break
        }
    }

    private mutating func append(_ record: Staged) {
        records.append(record)
        byteCount += record.byteCount
    }

    /// Forgets messages: those published, or moved ones too. Their segments may change now.
    mutating func dropMessages(publishedOnly: Bool) {
        records.removeAll { publishedOnly ? $0.isPublished : $0.frames != nil }
        byteCount = records.reduce(0) { $0 + $1.byteCount }
        messageCount = 0
    }

    mutating func removeAll() { self = JournalBatch() }

    /// Hands the bytes of all records, as they are to lie from `offset` on, to `body`, and what
    /// tells them from what remains of an earlier file behind them.
    ///
    /// - Returns: where each record lies.
    func layOut<Failure: Error>(
        in file: UInt32, salt: UInt32, at offset: Int, remains: Int,
        _ body: ([Bytes]) throws(Failure) -> Void
    ) throws(Failure) -> [Range<Int>] {
        let ownBytes = records.reduce(JournalFormat.endMarkBytes) { $0 + self.ownBytes($1) }
        var own = [UInt8](repeating: 0, count: ownBytes)
        var places: [Range<Int>] = []
        var failure: Failure?
        own.withUnsafeMutableBytes { memory in
            var slices: [Bytes] = []
            slices.reserveCapacity(2 * records.count)
            var used = 0
            var offset = offset
            for record in records {
                slices.append(lay(record, file, salt, offset, memory, &used))
                if let frames = record.frames { slices.append(frames) }
                let padding =
                    record.byteCount - JournalFormat.recordHeaderBytes
                    - record.payloadBytes
                if padding > 0 {
                    slices.append(Bytes(memory).view(used..<used + padding))
                    used += padding
                }
                places.append(offset..<offset + record.byteCount)
                offset += record.byteCount
            }
            let mark = min(max(0, remains - offset), JournalFormat.endMarkBytes)
            if mark > 0 { slices.append(Bytes(memory).view(used..<used + mark)) }
            do throws(Failure) { try body(slices) } catch { failure = error }
        }
        if let failure { throw failure }
        return places
    }

    /// What of a record does not lie in a segment.
    private func ownBytes(_ record: Staged) -> Int {
        record.byteCount - (record.frames?.count ?? 0)
    }

    /// Writes header and head to `memory`.
    private func lay(
        _ record: Staged, _ file: UInt32, _ salt: UInt32, _ offset: Int,
        _ memory: UnsafeMutableRawBufferPointer, _ used: inout Int
    ) -> Bytes {
        let start = used
        used += JournalFormat.recordHeaderBytes + record.head.count
        let head = UnsafeMutableRawBufferPointer(
            rebasing: memory[start + JournalFormat.recordHeaderBytes..<used])
        head.copyBytes(from: record.head)
        var checksum = CRC32C.Running()
        checksum.take(Bytes(head))
        if let frames = record.frames { checksum.take(frames) }
        RecordHeader(
            kind: record.kind, payloadBytes: record.payloadBytes,
            payloadChecksum: checksum.value, salt: salt, file: file, offset: offset
        ).write(to: memory.baseAddress! + start)
        return Bytes(memory).view(start..<used)
    }
}

extension NotedMessages {
    /// The same of a part of the records.
    fileprivate func part(_ part: Range<Int>, of all: Range<Int>) -> NotedMessages {
        let places = part.lowerBound - all.lowerBound..<part.upperBound - all.lowerBound
        return switch self {
        case .published, .moved: self
        case .deferred(let dues): .deferred(Array(dues[places]))
        case .movedDeferred(let dues): .movedDeferred(Array(dues[places]))
        }
    }
}
