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
    package private(set) var failure: LedgerError? {
        didSet { if failure != oldValue { onHealth(failure) } }
    }

    private var batch = JournalBatch()
    /// As of the last record.
    var known = KnownTopics()
    /// Every file, the oldest first; the last is written to.
    var files = Deque<File>()
    var places: [UInt64: SegmentPlaces] = [:]

    private var lastWrite: UInt64 = 0
    private var isSyncing = false
    private var needsSync = false
    private var didSyncFail = false
    private var messagesSinceSync = 0
    /// Behind the last record there may be a part of one.
    private var hasRagsBehindEnd = false
    /// The last file is not to be written to any more.
    private var needsFile = true

    struct File {
        var number: UInt32
        /// `nil` if nothing in it tells.
        var salt: UInt32?
        /// Behind its last record.
        var end: Int
        /// Its length on the disk.
        var reserved: Int
        /// Segments that need something in it.
        var segments = 0
        /// Something in it is not synced.
        var isDirty = true
        /// It begins with the topics and channels of its moment: files before it may go.
        var hasTopics = true
        /// A sync of it failed: what was written to it may never come to the disk.
        var isDoubtful = false
    }

    /// Room for notes when the disk is full: of what was finished, above all.
    static let reserveBytes = 1 << 20
    /// The part of it that no note takes: for the beginning of another file.
    private static let lastReserveBytes = 64 << 10
    /// Space comes back a file at a time: where it has a bound, that is so many files at least.
    private static let leastFiles = 8

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
                in: file.number, salt: file.salt!, at: file.end
            ) {
                slices throws(LedgerError) in
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

    /// Has a file that the batch fits in, and that the disk has room for.
    ///
    /// - Returns: why there is room for no more than it, if there is not.
    private func makeRoom() throws(LedgerError) -> LedgerError? {
        try cutRags()
        let isFull = files.last.map { $0.end + batch.byteCount > options.maxBytesPerFile }
        if needsFile || isFull != false { try beginFile() }
        let last = files.count - 1
        let needed = files[last].end + batch.byteCount
        // Where there was no room, a little of it is not taken for enough.
        guard failure != nil || needed + Self.reserveBytes > files[last].reserved else {
            return nil
        }
        let wanted = needed + Self.growth(of: needed)
        do throws(LedgerError) {
            try disk.reserve(wanted, in: files[last].number)
            files[last].reserved = max(files[last].reserved, wanted)
            return nil
        } catch {
            // What is finished may still be noted, as long as there is any room.
            guard !batch.hasPublished, needed + Self.lastReserveBytes <= files[last].reserved
            else { throw error }
            return error
        }
    }

    /// A file grows in steps, for each costs the file system a note of its own.
    private static func growth(of byteCount: Int) -> Int {
        min(max(2 * reserveBytes, byteCount), 16 << 20)
    }

    /// What a failed write may have left must not be taken for records later.
    private func cutRags() throws(LedgerError) {
        guard hasRagsBehindEnd, let file = files.last else { return }
        try disk.truncate(file.number, to: file.end)
        files[files.count - 1].reserved = file.end
        hasRagsBehindEnd = false
    }

    private func beginFile() throws(LedgerError) {
        let number = (files.last?.number ?? 0) + 1
        // Whatever becomes of this one, nothing may be noted in an older one once it is there.
        beginFileNext()
        try disk.create(number)
        let salt = options.salt()
        let header = JournalFormat.fileHeader(number: number, salt: salt)
        var first = JournalBatch()
        first.append(known.list)
        do throws(LedgerError) {
            let end = JournalFormat.fileHeaderBytes
            let places = try first.layOut(in: number, salt: salt, at: end) {
                slices throws(LedgerError) in
                try header.withBytes { bytes throws(LedgerError) in
                    try disk.write([bytes] + slices, to: number, at: 0)
                }
            }
            let length = places.last?.upperBound ?? end
            giveBackReserve()
            files.append(File(number: number, salt: salt, end: length, reserved: length))
            needsFile = false
        } catch {
            try? disk.remove(number)
            throw error
        }
    }

    // MARK: Coming back

    /// Tries whether it goes again, if it did not go.
    package func tryAgain() {
        guard failure != nil else { return }
        giveBackFiles()
        guard !isFull else { return }
        if batch.isEmpty { batch.append(known.list) }
        do throws(LedgerError) { _ = try write() } catch { failure = error }
    }

    /// `--max-disk-bytes` leaves no room to speak of.
    private var isFull: Bool {
        let room = min(Self.reserveBytes, options.maxDiskBytes / Self.leastFiles)
        return options.maxDiskBytes > 0 && usedBytes + room > options.maxDiskBytes
    }

    /// Lets go of files that nobody needs, though nothing may be written that a sync would follow.
    /// The last one goes once another has begun, for which its reserve is given back.
    private func giveBackFiles() {
        if !isDirty, !isSyncing { removeOldest(unneededCount) }
        guard let last = files.last, last.segments == 0, last.end > Self.reserveBytes
        else { return }
        giveBackReserve()
        beginFileNext()
    }

    // MARK: Syncing

    /// Something was written that is not synced.
    package var isDirty: Bool { files.contains(where: \.isDirty) }

    /// Brings what was written to the disk for good; one sync at a time, the next for all that
    /// came meanwhile.
    package func sync() {
        guard isDirty else { return }
        guard !isSyncing else {
            needsSync = true
            return
        }
        isSyncing = true
        messagesSinceSync = 0
        let numbers = files.filter(\.isDirty).map(\.number)
        for place in files.indices { files[place].isDirty = false }
        let write = lastWrite
        // What was moved out of the others while the sync is under way is not synced by it.
        let unneeded = unneededCount
        disk.sync(numbers) { [weak self] error in
            self?.synced(numbers, upTo: write, unneeded, error)
        }
    }

    private func synced(
        _ numbers: [UInt32], upTo write: UInt64, _ unneeded: Int, _ error: LedgerError?
    ) {
        isSyncing = false
        didSyncFail = error != nil
        if let error {
            syncFailed(numbers, error)
        } else {
            onSync(write, nil)
            removeOldest(unneeded)
        }
        guard needsSync else { return }
        needsSync = false
        sync()
    }

    /// What the system could not bring to the disk may be gone from its memory, too: nothing more
    /// is written to that file, and what was written to it meanwhile is as lost, though another
    /// sync would not say so.
    private func syncFailed(_ numbers: [UInt32], _ error: LedgerError) {
        failure = error
        for place in files.indices where numbers.contains(files[place].number) {
            files[place].isDoubtful = true
        }
        beginFileNext()
        onSync(lastWrite, error)
    }

    /// How many of the oldest files may go once all is synced: nothing in them is needed, and what
    /// tells of it stands behind them for sure.
    private var unneededCount: Int {
        if files.contains(where: { $0.isDoubtful && $0.segments > 0 }) { return 0 }
        var count = files.dropLast().prefix { $0.segments == 0 }.count
        while count > 0, !files[count].hasTopics || files[count].isDoubtful { count -= 1 }
        return count
    }

    /// The next write begins another file.
    func beginFileNext() { needsFile = true }

    /// The next write goes on in the last file.
    func goOnInLastFile() { needsFile = files.isEmpty }

    /// Removes files that nobody needs. A younger one is synced: it begins with what is known of
    /// topics and channels.
    private func removeOldest(_ count: Int) {
        for _ in 0..<count {
            do throws(LedgerError) { try disk.remove(files[0].number) } catch { return }
            files.removeFirst()
        }
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

    // MARK: Giving space back

    /// Nothing more is written to the last file. What it was made longer by is no loss if it stays.
    private func giveBackReserve() {
        guard let last = files.last, last.reserved > last.end, last.end > 0 else { return }
        try? disk.truncate(last.number, to: last.end)
        files[files.count - 1].reserved = last.end
    }

    package func segmentToMove(needed bytes: Int) -> UInt64? {
        if !didSyncFail, let file = files.first(where: { $0.isDoubtful && $0.segments > 0 }) {
            // It is to be had yet, from memory or from the system's.
            return segment(in: file)
        }
        guard files.count > 2, let oldest = files.first, oldest.segments > 0,
            usedBytes > 2 * bytes + 2 * options.maxBytesPerFile
        else { return nil }
        return segment(in: oldest)
    }

    private func segment(in file: File) -> UInt64? {
        places.first { $0.value.files.contains(file.number) }?.key
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
