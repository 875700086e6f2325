import NSQWire
import Transport

/// How the journal's files are laid out. All numbers are little-endian.
///
/// ```
/// file    header (64 bytes), records, 32 zeros, remains, zeros that the file was made longer by
/// header  "TALLYLOG", version, file number, salt, end of the remains, zeros, checksum of what
///         stands before it
/// record  mark, payload bytes, position, kind, payload checksum, salt, header checksum (32 bytes);
///         payload; zeros up to a multiple of 8
/// ```
///
/// A record knows its position, so that nothing that was copied or moved is taken for one. Where a
/// payload is damaged, records are looked for within it, too: the header may be what is left of an
/// earlier one that lay there. The salt is the file's own and known to nobody else: so no message
/// can have a record in it that is taken for one of the journal's, and nothing of the remains is:
/// those of the removed file that this one was made of.
enum JournalFormat {
    static let magic: StaticString = "TALLYLOG"
    /// Older versions are read; a newer one is refused.
    static let version: UInt32 = 1
    static let fileHeaderBytes = 64
    static let recordHeaderBytes = 32
    /// The zeros that tell remains from a record.
    static let endMarkBytes = recordHeaderBytes
    static let recordMark: UInt32 = 0x5243_4a54
    static let alignment = 8

    /// How much of messages one record holds, but for a single larger one: what a damage costs.
    static let messageBytesPerRecord = 64 << 10

    static func aligned(_ byteCount: Int) -> Int {
        (byteCount + alignment - 1) & ~(alignment - 1)
    }

    /// A record's place in the file, header and padding included.
    static func recordBytes(payload: Int) -> Int { recordHeaderBytes + aligned(payload) }

    /// - Parameter remains: where they end; 0 if there are none.
    static func fileHeader(number: UInt32, salt: UInt32, remains: Int) -> [UInt8] {
        var bytes = Array(magic.bytes)
        bytes.append(little: version)
        bytes.append(little: number)
        bytes.append(little: salt)
        bytes.append(little: UInt64(remains))
        bytes += [UInt8](repeating: 0, count: fileHeaderBytes - 4 - bytes.count)
        bytes.append(little: bytes.withUnsafeBytes { CRC32C.checksum($0) })
        return bytes
    }

    enum FileHeader: Equatable {
        case sound(salt: UInt32, remains: Int)
        /// Whole, but another file's: of the one that this was made of, and nothing more.
        case earlier
        case newer(version: UInt32)
        case damaged
    }

    /// A newer format keeps the header's layout: a damage is not taken for one.
    static func check(fileHeader bytes: Bytes, number: UInt32) -> FileHeader {
        guard bytes.count >= fileHeaderBytes, bytes.prefix(8).elementsEqual(magic.bytes),
            bytes.little(at: fileHeaderBytes - 4, as: UInt32.self)
                == CRC32C.checksum(bytes.view(0..<fileHeaderBytes - 4))
        else { return .damaged }
        let version = bytes.little(at: 8, as: UInt32.self)
        guard version <= Self.version else { return .newer(version: version) }
        let written = bytes.little(at: 12, as: UInt32.self)
        guard written == number else { return written < number ? .earlier : .damaged }
        return .sound(
            salt: bytes.little(at: 16, as: UInt32.self),
            remains: Int(truncatingIfNeeded: bytes.little(at: 20, as: UInt64.self)))
    }
}

/// What a record tells.
enum RecordKind: UInt16 {
    case topics = 1
    case published = 2
    case deferred = 3
    case moved = 4
    case movedDeferred = 5
    case topicCreated = 16
    case topicDeleted = 17
    case topicPaused = 18
    case topicEmptied = 19
    case handedOver = 20
    case topicHeld = 21
    case topicStarted = 22
    case channelCreated = 32
    case channelDeleted = 33
    case channelPaused = 34
    case channelEmptied = 35
    case finished = 48
    case delivered = 49
    case returned = 50
}

/// What stands before each record's payload.
struct RecordHeader: Equatable {
    var kind: RecordKind
    var payloadBytes: Int
    var payloadChecksum: UInt32
    var salt: UInt32
    var file: UInt32
    var offset: Int

    /// The offset of the next record.
    var end: Int { offset + JournalFormat.recordBytes(payload: payloadBytes) }

    func write(to place: UnsafeMutableRawPointer) {
        place.storeBytes(of: JournalFormat.recordMark.littleEndian, as: UInt32.self)
        place.storeBytes(
            of: UInt32(payloadBytes).littleEndian, toByteOffset: 4, as: UInt32.self)
        place.storeBytes(
            of: (UInt64(file) << 32 | UInt64(offset)).littleEndian, toByteOffset: 8,
            as: UInt64.self)
        place.storeBytes(of: kind.rawValue.littleEndian, toByteOffset: 16, as: UInt16.self)
        place.storeBytes(of: 0, toByteOffset: 18, as: UInt16.self)
        place.storeBytes(of: payloadChecksum.littleEndian, toByteOffset: 20, as: UInt32.self)
        place.storeBytes(of: salt.littleEndian, toByteOffset: 24, as: UInt32.self)
        let checksum = CRC32C.checksum(Bytes(start: place, count: 28))
        place.storeBytes(of: checksum.littleEndian, toByteOffset: 28, as: UInt32.self)
    }

    /// The header that stands at `bytes`' start, if a sound one does that belongs there.
    ///
    /// - Parameter salt: the file's; with `nil`, as that was lost, any.
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

extension UnsafeRawBufferPointer {
    /// The little-endian integer at `offset`: the journal's byte order throughout.
    func little<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type) -> T {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}

extension [UInt8] {
    mutating func append<T: FixedWidthInteger>(little value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
