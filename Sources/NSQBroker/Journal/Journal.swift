import BrokerCore
import NSQWire
import TallyBasics

/// The implementation of ``MessageLog`` on files: one append-only log for all topics.
///
/// A file is removed once no segment has messages in it and all older files are removed. Records
/// about a message always follow the message in the log. They are therefore not removed before the
/// message, and a finished message is not redelivered. Each file starts with a snapshot of the topics
/// and channels at the time of the file's creation.
package final class Journal: MessageLog {
    package let options: Options
    private let disk: any JournalDisk

    /// A closure that is called after each sync, with the number of the last write that it covers,
    /// and with the error of a failed sync.
    package var onSync: (UInt64, MessageLogError?) -> Void = { _, _ in }
    /// A closure that is called with the new value of ``failure`` after each change.
    package var onHealth: (MessageLogError?) -> Void = { _ in }

    /// The reason why messages cannot be published; `nil` while the journal is healthy.
    package private(set) var failure: MessageLogError? {
        didSet { if failure != oldValue { onHealth(failure) } }
    }

    private var batch = JournalBatch()
    /// The topics and channels after the last written record.
    private var topics = KnownTopics()
    private var fileList = JournalFileList()
    private var writer: JournalWriter
    private var lastWrite: UInt64 = 0
    private var syncState = SyncState()

    private struct SyncState {
        var isSyncing = false
        /// `true` if another sync starts after the current one.
        var needsAnother = false
        var didLastFail = false
        var messagesSinceLast = 0
    }

    /// The number of files that are allowed in addition to twice the number that the journal's size
    /// requires. With more files, the journal relocates the messages of the oldest files.
    static let maxFilesBeyondSize = 64

    /// The maximum size of unwritten records in bytes. Larger amounts of records are discarded.
    private static let maxUnwrittenBytes = 16 << 20

    /// Creates a journal with its files on `disk`. If the disk contains files, the caller must call
    /// ``recover(into:at:)`` before it appends records.
    package init(on disk: any JournalDisk, _ options: Options = Options()) {
        self.disk = disk
        self.options = options.limitedToDisk
        writer = JournalWriter(on: disk, self.options)
    }

    package var respondsAfterSync: Bool { options.respondsAfterSync }

    /// The size of all records in bytes, without reserved disk space.
    package var usedBytes: Int { fileList.usedBytes }

    /// The states of all files, the oldest first.
    var files: [JournalFileState] { Array(fileList.files) }

    /// `true` if some written records are not synced.
    package var isDirty: Bool { fileList.isDirty }

    // MARK: Appending

    package func append(_ change: LogRecord) { batch.append(change) }

    package func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: MessageRecordKind
    ) {
        batch.append(indexes, of: segment, in: topic, as: kind)
    }

    package func release(_ segment: Segment) { fileList.removeExtents(of: segment.serial) }

    package func segmentToRelocate(neededBytes: Int) -> UInt64? {
        // Messages of a file whose sync failed are relocated first. They can still be read from
        // memory or the page cache.
        if !syncState.didLastFail, let serial = fileList.segmentInFileWithFailedSync {
            return serial
        }
        let isTooLarge = usedBytes > 2 * neededBytes + 2 * options.maxBytesPerFile
        // Each start of the broker begins a file, so there can be many short files.
        let fullFiles = usedBytes / options.maxBytesPerFile
        let hasTooManyFiles = fileList.count > Self.maxFilesBeyondSize + 2 * fullFiles
        return isTooLarge || hasTooManyFiles ? fileList.segmentInOldestFile : nil
    }

    // MARK: Writing

    package func flush() throws(MessageLogError) -> UInt64 {
        defer { discardUnwritten() }
        let refusal = publishRefusal
        if refusal != nil { batch.removeMessages(publishedOnly: true) }
        if !batch.isEmpty { try writeBatch() }
        if let refusal {
            failure = refusal
            throw refusal
        }
        return lastWrite
    }

    /// The reason to refuse the batch's new messages, because they would exceed `maxDiskBytes`;
    /// `nil` if they fit.
    private var publishRefusal: MessageLogError? {
        guard batch.hasPublished, options.maxDiskBytes > 0,
            usedBytes + batch.byteCount > options.maxDiskBytes
        else { return nil }
        return MessageLogError("the journal is full at \(options.maxDiskBytes) bytes")
    }

    private func writeBatch() throws(MessageLogError) {
        let failureWhenFull = isFull ? failure : nil
        do throws(MessageLogError) {
            let shortage = try writer.write(
                batch, startingFilesWith: topics, isRetry: failure != nil, to: &fileList)
            // A write without new messages does not prove that there is space for new messages.
            failure = batch.hasPublished ? nil : shortage ?? failureWhenFull
        } catch {
            failure = error
            throw error
        }
        lastWrite += 1
        syncState.messagesSinceLast += batch.messageCount
        finishBatch()
        if options.respondsAfterSync || syncState.messagesSinceLast >= options.syncEvery { sync() }
    }

    private func finishBatch() {
        for change in batch.changes { topics.apply(change) }
        batch.removeAll()
    }

    /// Discards the messages of a failed write. Other records are kept for the next write, up to
    /// ``maxUnwrittenBytes``. Discarding other records only causes finished messages to be
    /// redelivered, because the next file starts with the current topics and channels.
    private func discardUnwritten() {
        batch.removeMessages(publishedOnly: false)
        guard batch.byteCount > Self.maxUnwrittenBytes else { return }
        finishBatch()
        writer.requireNewFile()
    }

    /// `true` if the disk limit leaves too little space for new messages.
    private var isFull: Bool { options.isFull(usedBytes: usedBytes) }

    /// Tries to recover from a failed write or sync: frees disk space and writes again. The caller
    /// calls this method regularly.
    package func retryAfterFailure() {
        guard failure != nil else { return }
        // No file may be removed while a sync that covers the file is running.
        if !isDirty, !syncState.isSyncing { removeOldestFiles(fileList.unneededCount) }
        writer.abandonUnneededLastFile(&fileList)
        // A new file can make older files unnecessary. While the journal is full, this method writes
        // only to begin a new file, so that the journal does not grow.
        guard !isFull || writer.needsNewFile else { return }
        if batch.isEmpty { batch.append(topics.sorted) }
        do throws(MessageLogError) { _ = try flush() } catch { failure = error }
    }

    // MARK: Syncing

    /// Syncs all written records. If a sync is already running, another sync follows and covers the
    /// records written in the meantime.
    package func sync() {
        guard isDirty else { return }
        guard !syncState.isSyncing else {
            syncState.needsAnother = true
            return
        }
        syncState.isSyncing = true
        syncState.messagesSinceLast = 0
        rewriteRecoveredTopics()
        let numbers = fileList.markAllClean()
        let write = lastWrite
        // The count is computed before the sync starts. During the sync, messages may be relocated
        // out of a file. The sync does not cover the new records of these messages, so it does not
        // permit removing that file.
        let unneeded = fileList.unneededCount
        disk.sync(numbers) { [weak self] error in
            self?.didSync(numbers, upTo: write, unneeded, error)
        }
    }

    /// Writes a recovered snapshot of the topics and channels again, if older files can be removed
    /// once the snapshot is synced.
    private func rewriteRecoveredTopics() {
        guard let number = fileList.fileWithTopicsToRewrite else { return }
        do throws(MessageLogError) {
            if try writer.rewriteTopics(of: number) { fileList.didRewriteTopics(of: number) }
        } catch {
            // The older files stay, and the next sync tries again.
        }
    }

    private func didSync(
        _ numbers: [UInt32], upTo write: UInt64, _ unneeded: Int, _ error: MessageLogError?
    ) {
        syncState.isSyncing = false
        syncState.didLastFail = error != nil
        if let error {
            didFailSync(numbers, error)
        } else {
            onSync(write, nil)
            removeOldestFiles(unneeded)
        }
        guard syncState.needsAnother else { return }
        syncState.needsAnother = false
        sync()
    }

    /// Marks the files of a failed sync as unreliable. After a failed fsync, Linux may discard the
    /// dirty pages, and a later fsync reports success. Therefore, all writes up to now count as
    /// failed, including those made during the sync.
    private func didFailSync(_ numbers: [UInt32], _ error: MessageLogError) {
        failure = error
        fileList.markSyncFailed(numbers)
        writer.requireNewFile()
        onSync(lastWrite, error)
    }

    /// Removes the `count` oldest files. They are no longer needed, because a newer, synced file
    /// contains the topics and channels.
    private func removeOldestFiles(_ count: Int) {
        for _ in 0..<count {
            do throws(MessageLogError) { try disk.remove(fileList.oldest!.number) } catch {
                return
            }
            fileList.removeFirst()
        }
    }

    // MARK: Reading

    package func readMessages(
        of segment: Segment, _ body: (Bytes, Int) -> Void
    ) throws(MessageLogError) {
        for extent in fileList.extents(of: segment.serial) {
            var reader = JournalReader(extent.file, salt: fileList.salt(of: extent.file), on: disk)
            try reader.readMessages(of: segment.serial, in: extent.range, body)
        }
    }

    // MARK: Recovery

    /// Replays all records into `broker`, and ends the last file. The first write begins a new file.
    ///
    /// - Returns: a report with the damaged ranges. Damage affects only the records in these ranges.
    ///   If the topics and channels at the start of the oldest file are damaged, the messages that
    ///   were finished in that file are delivered again.
    /// - Throws: an error if a file cannot be read or has a newer format version.
    package func recover(
        into broker: Broker, at now: Timestamp
    ) throws(MessageLogError) -> JournalReport {
        let report = try replay(into: broker, at: now)
        try writer.endLastFile(of: &fileList)
        return report
    }

    /// Replays all records into `broker`, without changes to the disk.
    func replay(into broker: Broker, at now: Timestamp) throws(MessageLogError) -> JournalReport {
        var scanner = JournalScanner(on: disk)
        broker.beginRecovery()
        let found = try disk.files().sorted { $0.number < $1.number }
        for file in found {
            if let last = fileList.last { scanner.reportMissingFiles(last.number, file.number) }
            fileList.append(JournalFileState(found: file))
            let (endOffset, salt) = try scanner.scan(file, isLast: file == found.last) {
                self.apply($0, at: $1, in: file.number, broker, now)
            }
            fileList.setLast(endOffset: endOffset, salt: salt)
        }
        broker.endRecovery(at: now)
        scanner.report.files = found.count
        return scanner.report
    }

    private func apply(
        _ record: DecodedRecord, at range: Range<Int>, in file: UInt32, _ broker: Broker,
        _ now: Timestamp
    ) {
        switch record {
        case .topics(let snapshots):
            // Only a snapshot at the start of a file can make older files unnecessary. Records before
            // a later snapshot can refer to channels that only older files contain.
            if range.lowerBound == JournalFormat.fileHeaderBytes {
                fileList.didRecoverTopicsOfLast()
            }
            topics = KnownTopics(snapshots)
            broker.recover(snapshots, at: now)
        case .change(let change):
            topics.apply(change)
            broker.recover(change, at: now)
        case .messages(let messages, _):
            topics.create(messages.topic)
            fileList.addExtent(range, in: file, of: messages.run.serial)
            broker.recover(messages, at: now)
        }
    }
}
