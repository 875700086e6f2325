import BrokerCore
import NSQWire
import Transport

/// A buffered reader for the header and the records of one journal file.
struct JournalReader: ~Copyable {
    let file: UInt32
    /// The file's salt; `nil` until the salt has been read.
    private(set) var salt: UInt32?
    /// The file offset at which the old bytes of the recycled file end.
    private var recycledEnd = 0
    private let disk: any JournalDisk
    private var buffer: UnsafeMutableRawBufferPointer
    private var bufferOffset = 0
    private var bufferedCount = 0

    private static let bufferBytes = 1 << 20
    /// The smallest size of a hole.
    private static let pageBytes = 4096

    init(_ file: UInt32, salt: UInt32? = nil, on disk: any JournalDisk) {
        self.file = file
        self.salt = salt
        self.disk = disk
        buffer = .allocate(byteCount: Self.bufferBytes, alignment: 16)
    }

    deinit { buffer.deallocate() }

    // MARK: Headers

    mutating func fileHeader() throws(MessageLogError) -> JournalFormat.FileHeader {
        let header = JournalFormat.check(
            fileHeader: try bytes(0..<JournalFormat.fileHeaderBytes), number: file)
        if case .valid(let salt, let recycledEnd) = header {
            self.salt = salt
            self.recycledEnd = recycledEnd
        }
        return header
    }

    /// Reads the record header at `offset`, without checking the payload.
    ///
    /// - Returns: `nil` if no valid header starts at `offset`.
    private mutating func header(at offset: Int) throws(MessageLogError) -> RecordHeader? {
        let head = try bytes(offset..<offset + JournalFormat.recordHeaderBytes)
        let header = RecordHeader(head, salt: salt, file: file, offset: offset)
        // If the file header is damaged, the salt is taken from the first record.
        salt = salt ?? header?.salt
        return header
    }

    /// Returns the offset of the first valid record header from `offset` up to `end`; `nil` if
    /// there is none.
    mutating func nextHeader(from offset: Int, to end: Int) throws(MessageLogError) -> Int? {
        var offset = JournalFormat.aligned(offset)
        while offset < end {
            let head = try bytes(offset..<offset + JournalFormat.recordHeaderBytes)
            guard head.count == JournalFormat.recordHeaderBytes else { return nil }
            if RecordHeader(head, salt: salt, file: file, offset: offset) != nil { return offset }
            offset = try offsetAfterHole(at: offset, head) ?? offset + JournalFormat.alignment
        }
        return nil
    }

    /// Returns the offset at which the search continues if a hole of the file begins at `offset`. The
    /// search skips holes, because they can have any size and contain no records.
    private func offsetAfterHole(at offset: Int, _ head: Bytes) throws(MessageLogError) -> Int? {
        guard offset % Self.pageBytes == 0, head.allSatisfy({ $0 == 0 }) else { return nil }
        let next = try disk.nextData(in: file, from: offset) / Self.pageBytes * Self.pageBytes
        return next > offset ? next : nil
    }

    // MARK: Records

    enum RecordResult {
        case record(RecordHeader, payload: Bytes)
        /// The header is valid, but the payload does not match its checksum.
        case damagedPayload(RecordHeader)
        /// No valid record header starts at the offset.
        case nothing
    }

    /// Reads the record at `offset`. The payload is valid until the next call of a method.
    mutating func record(at offset: Int) throws(MessageLogError) -> RecordResult {
        guard let header = try header(at: offset) else { return .nothing }
        let start = offset + JournalFormat.recordHeaderBytes
        let payload = try bytes(start..<start + header.payloadBytes)
        guard payload.count == header.payloadBytes,
            CRC32C.checksum(payload) == header.payloadChecksum
        else { return .damagedPayload(header) }
        return .record(header, payload: payload)
    }

    /// Returns the bytes of the file header and of the topics and channels after it; `nil` if they are
    /// damaged. The bytes are valid until the next call of a method.
    mutating func headerAndTopics() throws(MessageLogError) -> Bytes? {
        guard case .valid = try fileHeader(),
            case .record(let header, _) = try record(at: JournalFormat.fileHeaderBytes),
            header.kind == .topics
        else { return nil }
        return try bytes(0..<header.endOffset)
    }

    /// Reads a segment's messages in a byte range of the file, and skips damaged records.
    ///
    /// - Parameters:
    ///   - serial: the serial number of the segment.
    ///   - body: a closure that is called with consecutive message frames and the index of the
    ///     first one.
    mutating func readMessages(
        of serial: UInt64, in range: Range<Int>, _ body: (Bytes, Int) -> Void
    ) throws(MessageLogError) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            switch try record(at: offset) {
            case .record(let header, let payload):
                if case .messages(let messages, let frames)? = DecodedRecord(header.kind, payload),
                    messages.run.serial == serial
                {
                    body(frames, messages.run.first)
                }
                offset = header.endOffset
            case .damagedPayload, .nothing:
                offset = try nextHeader(from: offset + 1, to: range.upperBound) ?? range.upperBound
            }
        }
    }

    // MARK: Unused space

    /// Returns `true` if the byte range contains only an end mark, then old bytes of the recycled
    /// file, and then zeros.
    mutating func isUnused(from offset: Int, to end: Int) throws(MessageLogError) -> Bool {
        let mark = min(end, offset + JournalFormat.endMarkBytes)
        guard try isZero(from: offset, to: mark) else { return false }
        return try isZero(from: max(mark, recycledEnd), to: end)
    }

    /// Returns `true` if the byte range contains only zeros.
    private mutating func isZero(from offset: Int, to end: Int) throws(MessageLogError) -> Bool {
        var offset = offset
        while offset < end {
            let part = try bytes(offset..<min(end, offset + Self.bufferBytes))
            guard part.allSatisfy({ $0 == 0 }) else { return false }
            guard !part.isEmpty else { return true }
            offset = try max(offset + part.count, disk.nextData(in: file, from: offset))
        }
        return true
    }

    // MARK: Buffer

    /// Returns the bytes in `range`, or fewer at the end of the file.
    private mutating func bytes(_ range: Range<Int>) throws(MessageLogError) -> Bytes {
        if range.lowerBound < bufferOffset || range.upperBound > bufferOffset + bufferedCount {
            try fillBuffer(from: range.lowerBound, atLeast: range.count)
        }
        let start = range.lowerBound - bufferOffset
        return Bytes(buffer).view(start..<min(bufferedCount, start + range.count))
    }

    private mutating func fillBuffer(
        from start: Int, atLeast count: Int
    ) throws(MessageLogError) {
        if count > buffer.count {
            buffer.deallocate()
            buffer = .allocate(byteCount: count, alignment: 16)
        }
        bufferedCount = 0
        bufferOffset = start
        bufferedCount = try disk.read(file, at: start, into: buffer)
    }
}
