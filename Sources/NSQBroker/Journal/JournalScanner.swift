import BrokerCore
import NSQWire
import TallyBasics

/// A reader that scans journal files from start to end, and skips and reports damaged ranges.
struct JournalScanner {
    /// The result of all scans so far.
    var report = JournalReport()
    private let disk: any JournalDisk

    init(on disk: any JournalDisk) { self.disk = disk }

    /// Reports missing files between two consecutive file numbers as damage. The journal removes
    /// the oldest files first, so the numbers of its files have no gap.
    ///
    /// - Parameters:
    ///   - previous: the number of a file.
    ///   - next: the number of the next existing file.
    mutating func reportMissingFiles(_ previous: UInt32, _ next: UInt32) {
        let (first, overflows) = previous.addingReportingOverflow(1)
        guard !overflows, first < next else { return }
        let others = next - first - 1
        report.addDamage(
            0..<0, in: first,
            others == 0
                ? "the file is missing"
                : "the file is missing, and the \(counted(others, "file")) after it")
    }

    /// Reads all records of a file.
    ///
    /// - Parameters:
    ///   - isLast: `true` if the file is the newest one, which may end with a torn tail.
    ///   - apply: a closure that is called with each record and its byte range in the file.
    /// - Returns: the offset after the last record (0 if the file header is invalid and no record
    ///   was found), and the salt (`nil` if it could not be read).
    mutating func scan(
        _ file: JournalFile, isLast: Bool, _ apply: (DecodedRecord, Range<Int>) -> Void
    ) throws(MessageLogError) -> (endOffset: Int, salt: UInt32?) {
        guard file.isRegular else {
            report.addDamage(0..<0, in: file.number, "not a regular file")
            return (0, nil)
        }
        var reader = JournalReader(file.number, on: disk)
        let isValid = try checkHeader(of: file, &reader, isLast: isLast)
        var offset = JournalFormat.fileHeaderBytes
        var endOffset = isValid ? offset : 0
        while offset < file.byteCount {
            switch try reader.record(at: offset) {
            case .record(let header, let payload):
                add(header, payload, file, apply)
                offset = header.endOffset
                endOffset = offset
            case .damagedPayload(let header):
                let start = header.offset + JournalFormat.recordHeaderBytes
                guard let next = try nextRecord(from: start, damage: offset, file, isLast, &reader)
                else { return (endOffset, reader.salt) }
                report.addDamage(offset..<next, in: file.number, "a damaged record")
                offset = next
            case .nothing:
                guard
                    let next = try nextRecord(
                        from: offset + 1, damage: offset, file, isLast, &reader)
                else { return (endOffset, reader.salt) }
                report.addDamage(offset..<next, in: file.number, "no valid record")
                offset = next
            }
        }
        return (endOffset, reader.salt)
    }

    /// Checks the file header, and reports damage.
    ///
    /// - Returns: `true` if the header is valid.
    private mutating func checkHeader(
        of file: JournalFile, _ reader: inout JournalReader, isLast: Bool
    ) throws(MessageLogError) -> Bool {
        switch try reader.fileHeader() {
        case .valid: return true
        case .ofRecycledFile where isLast: return false
        case .newer(let version):
            throw MessageLogError(
                "\(file.name) was written by a newer version of tally (its format version is "
                    + "\(version), this program reads up to \(JournalFormat.version))")
        case .damaged, .ofRecycledFile:
            if file.byteCount > 0 {
                report.addDamage(
                    0..<JournalFormat.fileHeaderBytes, in: file.number,
                    "the file's header is damaged")
            }
            return false
        }
    }

    private mutating func add(
        _ header: RecordHeader, _ payload: Bytes, _ file: JournalFile,
        _ apply: (DecodedRecord, Range<Int>) -> Void
    ) {
        report.records += 1
        let range = header.offset..<header.endOffset
        guard let record = DecodedRecord(header.kind, payload) else {
            return report.addDamage(range, in: file.number, "a record that cannot be decoded")
        }
        report.count(record)
        apply(record, range)
    }

    /// Finds the next record after an invalid range. If no record follows, the rest of the file is
    /// reported as a torn tail or as damage, unless the rest is unused.
    ///
    /// - Parameters:
    ///   - start: the file offset at which the search starts.
    ///   - damage: the file offset at which the invalid range starts.
    /// - Returns: the file offset of the next record; `nil` if no record follows.
    private mutating func nextRecord(
        from start: Int, damage: Int, _ file: JournalFile, _ isLast: Bool,
        _ reader: inout JournalReader
    ) throws(MessageLogError) -> Int? {
        if let next = try reader.nextHeader(from: start, to: file.byteCount) { return next }
        guard try !reader.isUnused(from: damage, to: file.byteCount) else { return nil }
        if isLast {
            report.tornBytes += file.byteCount - damage
        } else {
            report.addDamage(damage..<file.byteCount, in: file.number, "no valid record")
        }
        return nil
    }
}
