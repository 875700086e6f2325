import DequeModule
import TallyBasics

/// The state of one journal file.
struct JournalFileState {
    var number: UInt32
    /// The file's salt; `nil` if neither the file header nor a record could be read.
    var salt: UInt32?
    /// The offset after the last record.
    var endOffset: Int
    /// The file's length on disk in bytes, including reserved space.
    var length: Int
    /// The file offset at which the old bytes of the recycled file end; 0 if the file was not
    /// recycled.
    var recycledEnd = 0
    /// The number of segments that have records in the file.
    var segmentCount = 0
    /// `true` if some records in the file are not synced.
    var isDirty = true
    /// The snapshot of the topics and channels at the start of the file.
    var topics = TopicsAtStart.written
    /// `true` if a sync of the file has failed, so that any of its records may never reach the
    /// disk.
    var hasFailedSync = false

    /// The snapshot of the topics and channels with which a file starts. A file with a synced snapshot
    /// makes older files unnecessary for topics and channels.
    enum TopicsAtStart {
        /// The file starts without a snapshot, or the snapshot is damaged.
        case none
        /// Recovery has read the snapshot, which an earlier process has written. If a sync of the
        /// earlier process failed, the page cache can contain bytes that no later sync writes. The
        /// snapshot can then be missing on the disk even after a sync by this process.
        case recovered
        /// This process has written the snapshot.
        case written
    }
}

extension JournalFileState {
    /// Creates the state of a file that recovery has found but not read yet.
    init(found file: JournalFile) {
        self.init(
            number: file.number, endOffset: 0, length: file.byteCount, isDirty: file.isRegular,
            topics: .none)
    }
}

/// The files of a journal, the oldest first, and the extents of all segments in these files.
/// Records are appended only to the last file.
struct JournalFileList {
    // INVARIANT: the `segmentCount` of each file is the number of segments with an extent in it.
    private(set) var files = Deque<JournalFileState>()
    private var extents: [UInt64: SegmentExtents] = [:]

    var count: Int { files.count }
    var oldest: JournalFileState? { files.first }
    var last: JournalFileState? { files.last }
    var usedBytes: Int { files.reduce(0) { $0 + $1.endOffset } }
    var isDirty: Bool { files.contains(where: \.isDirty) }

    // MARK: The last file

    mutating func append(_ file: JournalFileState) { files.append(file) }

    mutating func setLast(endOffset: Int, salt: UInt32?) {
        files[files.count - 1].endOffset = endOffset
        files[files.count - 1].salt = salt
    }

    mutating func setLastLength(_ length: Int) { files[files.count - 1].length = length }

    mutating func didReserveInLast(_ length: Int) {
        setLastLength(max(files[files.count - 1].length, length))
    }

    /// Updates the state of the last file after it was truncated at the end of its last record.
    mutating func didTruncateLast() {
        setLastLength(files[files.count - 1].endOffset)
        files[files.count - 1].recycledEnd = 0
    }

    mutating func didRecoverTopicsOfLast() { files[files.count - 1].topics = .recovered }

    /// Updates the last file and the extents after a batch was written.
    ///
    /// - Parameters:
    ///   - records: the records of the batch.
    ///   - ranges: the byte range of each record in the file.
    mutating func didAppend(_ records: [JournalBatch.Record], at ranges: [Range<Int>]) {
        let last = files.count - 1
        files[last].endOffset = ranges.last?.upperBound ?? files[last].endOffset
        didReserveInLast(files[last].endOffset)
        files[last].isDirty = true
        let number = files[last].number
        var relocated: Set<UInt64> = []
        for (record, range) in zip(records, ranges) {
            guard let serial = record.serial else { continue }
            if !record.isPublished, relocated.insert(serial).inserted { removeExtents(of: serial) }
            addExtent(range, in: number, of: serial)
        }
    }

    // MARK: Segments

    func extents(of serial: UInt64) -> [SegmentExtents.Extent] { extents[serial]?.extents ?? [] }

    func salt(of number: UInt32) -> UInt32? { index(of: number).flatMap { files[$0].salt } }

    /// Returns the index of a file, in logarithmic time: the numbers of the files ascend.
    private func index(of number: UInt32) -> Int? {
        let index = files.partitioningIndex { $0.number >= number }
        return index < files.count && files[index].number == number ? index : nil
    }

    mutating func addExtent(_ range: Range<Int>, in number: UInt32, of serial: UInt64) {
        let isNew = extents[serial]?.extents.last?.file != number
        extents[serial, default: SegmentExtents()].add(range, in: number)
        if isNew { changeSegmentCount(of: number, by: 1) }
    }

    mutating func removeExtents(of serial: UInt64) {
        guard let removed = extents.removeValue(forKey: serial) else { return }
        for number in removed.files { changeSegmentCount(of: number, by: -1) }
    }

    private mutating func changeSegmentCount(of number: UInt32, by change: Int) {
        guard let index = index(of: number) else { return }
        files[index].segmentCount += change
    }

    /// The serial number of any segment that has records in a file whose sync failed.
    var segmentInFileWithFailedSync: UInt64? {
        files.first { $0.hasFailedSync && $0.segmentCount > 0 }.flatMap(segment)
    }

    /// The serial number of any segment that has records in the oldest file; `nil` if there are
    /// fewer than three files.
    var segmentInOldestFile: UInt64? {
        guard files.count > 2, files[0].segmentCount > 0 else { return nil }
        return segment(in: files[0])
    }

    private func segment(in file: JournalFileState) -> UInt64? {
        extents.first { $0.value.files.contains(file.number) }?.key
    }

    // MARK: Syncing and removal

    /// Marks all files as synced.
    ///
    /// - Returns: the numbers of the files that were not synced. The caller must sync these files.
    mutating func markAllClean() -> [UInt32] {
        let numbers = files.filter(\.isDirty).map(\.number)
        for index in files.indices { files[index].isDirty = false }
        return numbers
    }

    mutating func markSyncFailed(_ numbers: [UInt32]) {
        for index in files.indices where numbers.contains(files[index].number) {
            files[index].hasFailedSync = true
        }
    }

    /// The number of oldest files that can be removed after a sync of all records. No segment has
    /// records in these files. A newer file, whose syncs have not failed, starts with a snapshot of
    /// the topics and channels that this process has written.
    var unneededCount: Int { unneededCount { $0 == .written } }

    /// The number of the file whose recovered topics and channels must be written again before older
    /// files can be removed; `nil` if there is none.
    var fileWithTopicsToRewrite: UInt32? {
        let count = unneededCount { $0 != .none }
        return count > 0 && files[count].topics == .recovered ? files[count].number : nil
    }

    private func unneededCount(
        _ isSufficient: (JournalFileState.TopicsAtStart) -> Bool
    ) -> Int {
        if files.contains(where: { $0.hasFailedSync && $0.segmentCount > 0 }) { return 0 }
        var count = files.dropLast().prefix { $0.segmentCount == 0 }.count
        while count > 0, !isSufficient(files[count].topics) || files[count].hasFailedSync {
            count -= 1
        }
        return count
    }

    mutating func didRewriteTopics(of number: UInt32) {
        guard let index = index(of: number) else { return }
        files[index].topics = .written
        files[index].isDirty = true
    }

    mutating func removeFirst() { files.removeFirst() }
}
