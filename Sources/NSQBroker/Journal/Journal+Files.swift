import BrokerCore
import DequeModule
import NSQWire

/// The files that a journal lies in: how one begins, grows, and goes.
extension Journal {
    /// What there is to know of one.
    struct File {
        var number: UInt32
        /// `nil` if nothing in it tells.
        var salt: UInt32?
        /// Behind its last record.
        var end: Int
        /// Its length on the disk.
        var reserved: Int
        /// Where the bytes of an earlier file end, that it was made of.
        var remains = 0
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
    static let leastFiles = 8

    // MARK: Room

    /// Has a file that the batch fits in, and that the disk has room for.
    ///
    /// - Returns: why there is room for no more than it, if there is not.
    func makeRoom() throws(LedgerError) -> LedgerError? {
        try cutRags()
        giveBackSparesBeyondBound()
        let fits = files.last.map { $0.end + batch.byteCount <= options.maxBytesPerFile } == true
        if needsFile || !fits { try beginFile() }
        let last = files.count - 1
        let needed = files[last].end + batch.byteCount
        // Where there was no room, a little of it is not taken for enough.
        guard failure != nil || needed + Self.reserveBytes > files[last].reserved else {
            return nil
        }
        let wanted = min(
            needed + Self.growth(of: needed),
            max(needed, options.maxBytesPerFile) + Self.reserveBytes)
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

    private func giveBackSparesBeyondBound() {
        guard options.maxDiskBytes > 0 else { return }
        let used = usedBytes + batch.byteCount + disk.spareBytes
        if used > options.maxDiskBytes { disk.giveBackSpares() }
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
        files[files.count - 1].remains = 0
        hasRagsBehindEnd = false
    }

    private func beginFile() throws(LedgerError) {
        let number = (files.last?.number ?? 0) + 1
        // Whatever becomes of this one, nothing may be noted in an older one once it is there.
        beginFileNext()
        let salt = options.salt()
        let remains = disk.remains
        let header = JournalFormat.fileHeader(number: number, salt: salt, remains: remains)
        var first = JournalBatch()
        first.append(known.list)
        let start = JournalFormat.fileHeaderBytes
        let places = try first.layOut(in: number, salt: salt, at: start, remains: remains) {
            slices throws(LedgerError) in
            try header.withBytes { bytes throws(LedgerError) in
                try disk.create(number, beginning: [bytes] + slices)
            }
        }
        let end = places.last?.upperBound ?? start
        giveBackReserve()
        files.append(
            File(
                number: number, salt: salt, end: end, reserved: max(remains, end),
                remains: remains))
        needsFile = false
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
    var isFull: Bool {
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

    // MARK: Going

    /// How many of the oldest files may go once all is synced: nothing in them is needed, and what
    /// tells of it stands behind them for sure.
    var unneededCount: Int {
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
    func removeOldest(_ count: Int) {
        for _ in 0..<count {
            do throws(LedgerError) { try disk.remove(files[0].number) } catch { return }
            files.removeFirst()
        }
    }

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
