import BrokerCore
import NSQWire
import Transport

/// Reads a journal's file record by record, through a window of it.
struct JournalReader {
    let file: UInt32
    /// `nil` as long as it is not known.
    private(set) var salt: UInt32?
    /// Where what stood in the file before it was this one's ends.
    private var remains = 0
    private let disk: any JournalDisk
    private var window: UnsafeMutableRawBufferPointer
    private var windowStart = 0
    private var windowCount = 0

    static let windowBytes = 1 << 20

    init(_ file: UInt32, salt: UInt32? = nil, on disk: any JournalDisk) {
        self.file = file
        self.salt = salt
        self.disk = disk
        window = .allocate(byteCount: Self.windowBytes, alignment: 16)
    }

    /// To be called once, last.
    func close() { window.deallocate() }

    enum Found {
        case record(RecordHeader, payload: Bytes)
        /// The header is sound, and what follows is not what was written.
        case damagedPayload(RecordHeader)
        /// No record begins here.
        case nothing
    }

    /// What stands at `offset`. A payload is valid until the next call.
    mutating func record(at offset: Int) throws(LedgerError) -> Found {
        guard let header = try header(at: offset) else { return .nothing }
        let start = offset + JournalFormat.recordHeaderBytes
        let payload = try bytes(start..<start + header.payloadBytes)
        guard payload.count == header.payloadBytes,
            CRC32C.checksum(payload) == header.payloadChecksum
        else { return .damagedPayload(header) }
        return .record(header, payload: payload)
    }

    /// The header at `offset`, without its payload being looked at.
    mutating func header(at offset: Int) throws(LedgerError) -> RecordHeader? {
        let head = try bytes(offset..<offset + JournalFormat.recordHeaderBytes)
        let header = RecordHeader(head, salt: salt, file: file, offset: offset)
        // Where the file's header is damaged its first record tells.
        salt = salt ?? header?.salt
        return header
    }

    /// Where the next sound header stands, from `offset` on.
    mutating func nextHeader(from offset: Int, to end: Int) throws(LedgerError) -> Int? {
        var offset = JournalFormat.aligned(offset)
        while offset < end {
            let head = try bytes(offset..<offset + JournalFormat.recordHeaderBytes)
            guard head.count == JournalFormat.recordHeaderBytes else { return nil }
            if RecordHeader(head, salt: salt, file: file, offset: offset) != nil { return offset }
            offset += JournalFormat.alignment
        }
        return nil
    }

    mutating func fileHeader() throws(LedgerError) -> JournalFormat.FileHeader {
        let header = JournalFormat.check(
            fileHeader: try bytes(0..<JournalFormat.fileHeaderBytes), number: file)
        if case .sound(let salt, let remains) = header {
            self.salt = salt
            self.remains = remains
        }
        return header
    }

    /// Whether nothing was written from `offset` to `end`: there are zeros, and what remains of an
    /// earlier file behind the first of them.
    mutating func isEmpty(from offset: Int, to end: Int) throws(LedgerError) -> Bool {
        let mark = min(end, offset + JournalFormat.endMarkBytes)
        guard try isZero(from: offset, to: mark) else { return false }
        return try isZero(from: max(mark, remains), to: end)
    }

    private mutating func isZero(from offset: Int, to end: Int) throws(LedgerError) -> Bool {
        var offset = offset
        while offset < end {
            let part = try bytes(offset..<min(end, offset + Self.windowBytes))
            guard part.allSatisfy({ $0 == 0 }) else { return false }
            guard !part.isEmpty else { return true }
            offset += part.count
        }
        return true
    }

    /// The bytes in `range`, or as many as there are before the file's end.
    private mutating func bytes(_ range: Range<Int>) throws(LedgerError) -> Bytes {
        if range.lowerBound < windowStart || range.upperBound > windowStart + windowCount {
            try fill(from: range.lowerBound, atLeast: range.count)
        }
        let start = range.lowerBound - windowStart
        return Bytes(window).view(start..<min(windowCount, start + range.count))
    }

    private mutating func fill(from start: Int, atLeast count: Int) throws(LedgerError) {
        if count > window.count {
            window.deallocate()
            window = .allocate(byteCount: count, alignment: 16)
        }
        windowCount = 0
        windowStart = start
        windowCount = try disk.read(file, at: start, into: window)
    }
}
