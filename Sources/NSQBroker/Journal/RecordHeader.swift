import NSQWire
import Transport

/// The kind of a journal record, as written in its header.
enum RecordKind: UInt16 {
    case topics = 1
    case published = 2
    case deferred = 3
    case relocated = 4
    case relocatedDeferred = 5
    case topicCreated = 16
    case topicDeleted = 17
    case topicPaused = 18
    case topicEmptied = 19
    case dispatched = 20
    case topicHeld = 21
    case topicStarted = 22
    case channelCreated = 32
    case channelDeleted = 33
    case channelPaused = 34
    case channelEmptied = 35
    case finished = 48
    case delivered = 49
    case deliveriesUpdated = 50

    /// `true` if the record contains deferred messages.
    var isDeferred: Bool { self == .deferred || self == .relocatedDeferred }
}

/// The header of a journal record: the 32 bytes before the payload.
struct RecordHeader: Equatable {
    var kind: RecordKind
    var payloadBytes: Int
    var payloadChecksum: UInt32
    var salt: UInt32
    var file: UInt32
    var offset: Int

    /// The file offset after the record, at which the next record starts.
    var endOffset: Int { offset + JournalFormat.recordBytes(payload: payloadBytes) }

    func write(to pointer: UnsafeMutableRawPointer) {
        pointer.storeBytes(of: JournalFormat.recordMark.littleEndian, as: UInt32.self)
        pointer.storeBytes(
            of: UInt32(payloadBytes).littleEndian, toByteOffset: 4, as: UInt32.self)
        pointer.storeBytes(
            of: (UInt64(file) << 32 | UInt64(offset)).littleEndian, toByteOffset: 8,
            as: UInt64.self)
        pointer.storeBytes(of: kind.rawValue.littleEndian, toByteOffset: 16, as: UInt16.self)
        pointer.storeBytes(of: 0, toByteOffset: 18, as: UInt16.self)
        pointer.storeBytes(of: payloadChecksum.littleEndian, toByteOffset: 20, as: UInt32.self)
        pointer.storeBytes(of: salt.littleEndian, toByteOffset: 24, as: UInt32.self)
        let checksum = CRC32C.checksum(Bytes(start: pointer, count: 28))
        pointer.storeBytes(of: checksum.littleEndian, toByteOffset: 28, as: UInt32.self)
    }

    /// Parses the header at the start of `bytes`. The result is `nil` if `bytes` do not start with
    /// a valid header for this file and offset.
    ///
    /// - Parameters:
    ///   - salt: the salt of the file; `nil` accepts any salt, for a file with a damaged file
    ///     header.
    ///   - file: the number of the file.
    ///   - offset: the file offset of the header.
    init?(_ bytes: Bytes, salt: UInt32?, file: UInt32, offset: Int) {
        guard bytes.count >= JournalFormat.recordHeaderBytes,
            bytes.little(at: 0, as: UInt32.self) == JournalFormat.recordMark,
            bytes.little(at: 8, as: UInt64.self) == UInt64(file) << 32 | UInt64(offset),
            bytes.little(at: 28, as: UInt32.self) == CRC32C.checksum(bytes.view(0..<28)),
            salt == nil || bytes.little(at: 24, as: UInt32.self) == salt,
            let kind = RecordKind(rawValue: bytes.little(at: 16, as: UInt16.self))
        else { return nil }
        self.kind = kind
        payloadBytes = Int(bytes.little(at: 4, as: UInt32.self))
        payloadChecksum = bytes.little(at: 20, as: UInt32.self)
        self.salt = bytes.little(at: 24, as: UInt32.self)
        self.file = file
        self.offset = offset
    }

    init(
        kind: RecordKind, payloadBytes: Int, payloadChecksum: UInt32, salt: UInt32, file: UInt32,
        offset: Int
    ) {
        self.kind = kind
        self.payloadBytes = payloadBytes
        self.payloadChecksum = payloadChecksum
        self.salt = salt
        self.file = file
        self.offset = offset
    }
}
