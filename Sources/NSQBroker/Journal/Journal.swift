import BrokerCore
import DequeModule
import NSQWire

/// What a broker notes, in files: one log for all topics, to which records are only ever appended.
///
/// A file goes when no segment needs anything in it and all files before it are gone: what is
/// noted of a message stands behind it, so nothing finished comes back. Each file begins with the
/// topics and channels of its moment.
package final class Journal: Ledger {
    package struct Options: Sendable {
        /// A file's length, but for the batch that goes beyond it.
        package var maxBytesPerFile = 100 << 20
        /// What all files may take; 0 is no bound.
        package var maxDiskBytes = 0
        /// Publishes are answered after a sync, shared by all that wait.
        package var answersAfterSync = false
        /// Messages after which the disk is synced, without being waited for.
        package var syncEvery = 2500
        /// A number that nobody can guess, for each file another.
        package var salt: @Sendable () -> UInt32 = { .random(in: 1...(.max)) }

        package init() {}
    }

    let disk: any JournalDisk
    package let options: Options

    /// The writes up to a number are synced, or failed to be.
    package var onSync: (UInt64, LedgerError?) -> Void = { _, _ in }
    package var onHealth: (LedgerError?) -> Void = { _ in }

    /// Why nothing can be published now.
    package internal(set) var failure: LedgerError? {
        didSet { if failure != oldValue { onHealth(failure) } }
    }

    var batch = JournalBatch()
    /// As of the last record.
    var known = KnownTopics()
    /// Every file, the oldest first; the last is written to.
    var files = Deque<File>()
    var places: [UInt64: SegmentPlaces] = [:]

    var lastWrite: UInt64 = 0
    var isSyncing = false
    var needsSync = false
    var didSyncFail = false
    var messagesSinceSync = 0
    /// Behind the last record there may be a part of one.
    var hasRagsBehindEnd = false
    /// The last file is not to be written to any more.
    var needsFile = true

    package init(on disk: any JournalDisk, _ options: Options = Options()) {
        self.disk = disk
        var options = options
        if options.maxDiskBytes > 0 {
            options.maxBytesPerFile = min(
                options.maxBytesPerFile, options.maxDiskBytes / Self.leastFiles)
        }
        self.options = options
    }

    package var answersAfterSync: Bool { options.answersAfterSync }

    /// What all files hold.
    package var usedBytes: Int { files.reduce(0) { $0 + $1.end } }

    // MARK: Appending

    package func append(_ change: LedgerChange) { batch.append(change) }

    package func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: NotedMessages
    ) {
        batch.append(indexes, of: segment, in: topic, as: kind)
    }

    package func forget(_ segment: Segment) { forget(serial: segment.serial) }

    private func forget(serial: UInt64) {
        guard let gone = places.removeValue(forKey: serial) else { return }
        for number in gone.files { count(-1, inFile: number) }
    }

    func count(_ change: Int, inFile number: UInt32) {
        guard let place = files.firstIndex(where: { $0.number == number }) else { return }
        files[place].segments += change
    }

    // MARK: Writing

    package func write() throws(LedgerError) -> UInt64 {
        defer { dropUnwritten() }
        let refusal = refusalOfPublishes
        if refusal != nil { batch.dropMessages(publishedOnly: true) }
        if !batch.isEmpty { try writeBatch() }
        if let refusal {
            failure = refusal
            throw refusal
        }
        return lastWrite
    }

    /// Messages that were not written are forgotten. Notes wait for better times, as many as can;
    /// without them messages come again that were finished, and no more than that: what is known
    /// of topics and channels stands at the beginning of the next file.
    private func dropUnwritten() {
        batch.dropMessages(publishedOnly: false)
        guard batch.byteCount > Self.mostUnwrittenBytes else { return }
        endBatch()
        beginFileNext()
    }

    private func endBatch() {
        for change in batch.changes { known.take(change) }
        batch.removeAll()
    }

    private static let mostUnwrittenBytes = 16 << 20

    /// Why nothing more may be published, if nothing may.
    private var refusalOfPublishes: LedgerError? {
        guard batch.hasPublished, options.maxDiskBytes > 0,
            usedBytes + batch.byteCount > options.maxDiskBytes
        else { return nil }
        return LedgerError("the journal is full at \(options.maxDiskBytes) bytes")
    }

    private func writeBatch() throws(LedgerError) {
        let wasFull = isFull ? failure : nil
        do throws(LedgerError) {
            let shortage = try makeRoom()
            hasRagsBehindEnd = true
            let file = files[files.count - 1]
            let places = try batch.layOut(
                in: file.number, salt: file.salt!, at: file.end, remains: file.remains
            ) { slices throws(LedgerError) in
                try disk.write(slices, to: file.number, at: file.end)
            }
            hasRagsBehindEnd = false
            // There may be room for notes alone.
            failure = batch.hasPublished ? nil : shortage ?? wasFull
            take(places, in: file.number)
        } catch {
            failure = error
            throw error
        }
    }

    /// The batch lies at these places now.
    private func take(_ places: [Range<Int>], in number: UInt32) {
        let last = files.count - 1
        files[last].end = places.last?.upperBound ?? files[last].end
        files[last].reserved = max(files[last].reserved, files[last].end)
        files[last].isDirty = true
        var moved: Set<UInt64> = []
        for (record, place) in zip(batch.records, places) {
            guard let serial = record.serial else { continue }
            if !record.isPublished, moved.insert(serial).inserted { forget(serial: serial) }
            note(place, of: serial, in: number)
        }
        lastWrite += 1
        messagesSinceSync += batch.messageCount
        endBatch()
        if options.answersAfterSync || messagesSinceSync >= options.syncEvery { sync() }
    }

    /// Takes note that a segment's records lie here.
    func note(_ place: Range<Int>, of serial: UInt64, in number: UInt32) {
        let isNew = places[serial]?.stretches.last?.file != number
        places[serial, default: SegmentPlaces()].add(place, in: number)
        if isNew { count(1, inFile: number) }
    }

    // MARK: Reading

    package func load(
        _ segment: Segment, _ take: (Bytes, Int) -> Void
    ) throws(LedgerError) {
        for stretch in places[segment.serial]?.stretches ?? [] {
            var reader = JournalReader(
                stretch.file, salt: files.first { $0.number == stretch.file }?.salt, on: disk)
            defer { reader.close() }
            var offset = stretch.range.lowerBound
            while offset < stretch.range.upperBound {
                offset = try load(segment, at: offset, stretch.range, &reader, take)
            }
        }
    }

    /// - Returns: where the next record stands.
    private func load(
        _ segment: Segment, at offset: Int, _ range: Range<Int>, _ reader: inout JournalReader,
        _ take: (Bytes, Int) -> Void
    ) throws(LedgerError) -> Int {
        switch try reader.record(at: offset) {
        case .record(let header, let payload):
            if case .messages(let messages, let frames)? = JournalRecord(header.kind, payload),
                messages.run.serial == segment.serial
            {
                take(frames, messages.run.first)
            }
            return header.end
        case .damagedPayload, .nothing:
            return try reader.nextHeader(from: offset + 1, to: range.upperBound) ?? range.upperBound
        }
    }

}
