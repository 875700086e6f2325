import BrokerCore
import NSQWire

/// A writer that appends batches to the last file of a journal, reserves disk space, and begins new
/// files.
struct JournalWriter {
    private let disk: any JournalDisk
    private let options: Journal.Options
    /// `true` if a failed write may have left part of a record at the end of the last file.
    private var hasTornTail = false
    /// `true` if the next write begins a new file, as the first write of a process does.
    private(set) var needsNewFile = true

    /// The number of bytes reserved after the last record. While the disk is full, only records other
    /// than new messages may use these bytes, above all records of finished messages.
    static let reserveBytes = 1 << 20
    /// The number of reserved bytes that only the start of the next file may use.
    private static let reservedBytesForNewFile = 64 << 10

    init(on disk: any JournalDisk, _ options: Journal.Options) {
        self.disk = disk
        self.options = options
    }

    /// Requires the next write to begin a new file.
    mutating func requireNewFile() { needsNewFile = true }

    // MARK: Writing

    /// Appends a batch to the last file, or to a new file if the last file is full.
    ///
    /// - Parameters:
    ///   - topics: the topics and channels with which a new file starts.
    ///   - isRetry: `true` if the previous write failed, so that disk space must be reserved again.
    /// - Returns: `nil` if the batch was written to reserved disk space; the error of the reservation
    ///   if the batch was written although no space could be reserved.
    mutating func write(
        _ batch: JournalBatch, startingFilesWith topics: KnownTopics, isRetry: Bool,
        to files: inout JournalFileList
    ) throws(MessageLogError) -> MessageLogError? {
        try truncateTornTail(&files)
        removeRecycledFilesBeyondLimit(files.usedBytes + batch.byteCount)
        let fits =
            files.last.map { $0.endOffset + batch.byteCount <= options.maxBytesPerFile } == true
        if needsNewFile || !fits { try beginFile(with: topics, &files) }
        let shortage = try reserveSpace(for: batch, isRetry: isRetry, &files)
        hasTornTail = true
        let file = files.last!
        let ranges = try batch.serialize(
            in: file.number, salt: file.salt!, at: file.endOffset, recycledEnd: file.recycledEnd
        ) { slices throws(MessageLogError) in
            try disk.write(slices, to: file.number, at: file.endOffset)
        }
        hasTornTail = false
        files.didAppend(batch.records, at: ranges)
        return shortage
    }

    /// Truncates the bytes of a failed write, which recovery could read as records.
    private mutating func truncateTornTail(_ files: inout JournalFileList) throws(MessageLogError) {
        guard hasTornTail, let file = files.last else { return }
        try disk.truncate(file.number, to: file.endOffset)
        files.didTruncateLast()
        hasTornTail = false
    }

    private func removeRecycledFilesBeyondLimit(_ usedBytes: Int) {
        guard options.maxDiskBytes > 0 else { return }
        if usedBytes + disk.recycledFileBytes > options.maxDiskBytes { disk.removeRecycledFiles() }
    }

    private func reserveSpace(
        for batch: JournalBatch, isRetry: Bool, _ files: inout JournalFileList
    ) throws(MessageLogError) -> MessageLogError? {
        let file = files.last!
        let needed = file.endOffset + batch.byteCount
        guard isRetry || needed + Self.reserveBytes > file.length else { return nil }
        let wanted = min(
            needed + Self.growth(of: needed),
            max(needed, options.maxBytesPerFile) + Self.reserveBytes)
        do throws(MessageLogError) {
            try disk.reserve(wanted, in: file.number)
            files.didReserveInLast(wanted)
            return nil
        } catch {
            // Records other than new messages may use the reserved space.
            guard !batch.hasPublished, needed + Self.reservedBytesForNewFile <= file.length
            else { throw error }
            return error
        }
    }

    /// Returns the number of bytes to reserve after the first `byteCount` bytes of a file. The
    /// steps are large, because each reservation costs an entry in the file system's own journal.
    private static func growth(of byteCount: Int) -> Int {
        min(max(2 * reserveBytes, byteCount), 16 << 20)
    }

    // MARK: Files

    private mutating func beginFile(
        with topics: KnownTopics, _ files: inout JournalFileList
    ) throws(MessageLogError) {
        let lastNumber = files.last?.number ?? 0
        guard lastNumber < .max else {
            throw MessageLogError(
                "\(JournalFile.name(of: lastNumber)) has the highest file number (remove it)")
        }
        let number = lastNumber + 1
        // The file may exist even if its creation fails. No records may then be written to an older
        // file, because recovery would apply the topics in the newer file after these records.
        requireNewFile()
        let salt = options.salt()
        let recycledEnd = disk.nextFileRecycledEnd
        let header = JournalFormat.fileHeader(number: number, salt: salt, recycledEnd: recycledEnd)
        var first = JournalBatch()
        first.append(topics.sorted)
        let start = JournalFormat.fileHeaderBytes
        let ranges = try first.serialize(
            in: number, salt: salt, at: start, recycledEnd: recycledEnd
        ) { slices throws(MessageLogError) in
            try header.withBytes { bytes throws(MessageLogError) in
                try disk.create(number, startingWith: [bytes] + slices)
            }
        }
        let endOffset = ranges.last?.upperBound ?? start
        truncateReserve(&files)
        files.append(
            JournalFileState(
                number: number, salt: salt, endOffset: endOffset,
                length: max(recycledEnd, endOffset), recycledEnd: recycledEnd))
        needsNewFile = false
    }

    /// Truncates the last file after its last record, before a new file begins. An error is
    /// ignored, because unused reserved space does no harm.
    private func truncateReserve(_ files: inout JournalFileList) {
        guard let last = files.last, last.length > last.endOffset, last.endOffset > 0
        else { return }
        try? disk.truncate(last.number, to: last.endOffset)
        files.setLastLength(last.endOffset)
    }

    /// Frees the reserved space of the last file if no segment has records in it, and requires the
    /// next write to begin a new file. After that write, the old file can be removed.
    mutating func abandonUnneededLastFile(_ files: inout JournalFileList) {
        guard let last = files.last, last.segmentCount == 0, last.endOffset > Self.reserveBytes
        else { return }
        truncateReserve(&files)
        requireNewFile()
    }

    // MARK: After recovery

    /// Rewrites the file header and the snapshot after it with the same bytes, so that the next sync
    /// writes them to the disk.
    ///
    /// - Returns: `false` if the start of the file is damaged; nothing is then written.
    func rewriteTopics(of number: UInt32) throws(MessageLogError) -> Bool {
        var reader = JournalReader(number, on: disk)
        guard let start = try reader.headerAndTopics() else { return false }
        try disk.write([start], to: number, at: 0)
        return true
    }

    /// Truncates the last file after its last record, so that no later recovery reads the bytes
    /// behind that record as records. A file whose start is damaged is not changed.
    ///
    /// The first write of this process begins a new file, which contains all topics and channels.
    /// The new file is needed if a sync of the previous process failed. Some changes of topics and
    /// channels in the last file are then only in the page cache, and no later sync writes them to
    /// the disk.
    func endLastFile(of files: inout JournalFileList) throws(MessageLogError) {
        guard let last = files.last else { return }
        guard last.endOffset >= JournalFormat.fileHeaderBytes else {
            return try emptyIfRecycled(last, &files)
        }
        guard last.length > last.endOffset else { return }
        try disk.truncate(last.number, to: last.endOffset)
        files.setLastLength(last.endOffset)
    }

    /// Empties the last file if it contains only the old bytes of a recycled file. Otherwise,
    /// recovery would report the file as damaged once another file follows.
    private func emptyIfRecycled(
        _ last: JournalFileState, _ files: inout JournalFileList
    ) throws(MessageLogError) {
        guard last.length > 0 else { return }
        var reader = JournalReader(last.number, on: disk)
        guard try reader.fileHeader() == .ofRecycledFile else { return }
        try disk.truncate(last.number, to: 0)
        files.setLastLength(0)
    }
}

extension [UInt8] {
    fileprivate func withBytes<Failure: Error>(
        _ body: (Bytes) throws(Failure) -> Void
    ) throws(Failure) {
        var failure: Failure?
        withUnsafeBytes { bytes in
            do throws(Failure) { try body(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
