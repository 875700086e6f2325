import NSQWire
import Transport

/// The layout of journal files. All integers are little-endian.
///
/// ```
/// file    header (64 bytes), records, end mark (32 zeros), bytes of the recycled file, zeros
/// header  "TALLYLOG", version, file number, salt, end of the recycled bytes, zeros, checksum of
///         all bytes before it
/// record  mark, payload bytes, position, kind, payload checksum, salt, header checksum (32 bytes);
///         payload; zeros up to a multiple of 8
/// ```
///
/// A record header contains its file number and file offset, so a copy of a record at another place
/// is invalid. If a payload is damaged, its header may be left over from an earlier write at the same
/// offset. The search for the next record therefore starts inside the payload. Each file has a secret
/// salt, so that neither a published message nor the old bytes of a recycled file can contain a valid
/// record.
enum JournalFormat {
    static let magic: StaticString = "TALLYLOG"
    /// The format version. Older versions can be read; newer versions are rejected.
    static let version: UInt32 = 1
    static let fileHeaderBytes = 64
    static let recordHeaderBytes = 32
    /// The number of zero bytes between the last record and the old bytes of the recycled file.
    static let endMarkBytes = recordHeaderBytes
    static let recordMark: UInt32 = 0x5243_4a54
    static let alignment = 8

    /// The maximum size of the messages in one record, in bytes. A message larger than this limit
    /// has its own record. The limit bounds the loss: a damaged byte makes all messages in the same
    /// record unreadable.
    static let messageBytesPerRecord = 64 << 10

    /// Rounds a number of bytes up to a multiple of the alignment.
    static func aligned(_ byteCount: Int) -> Int {
        (byteCount + alignment - 1) & ~(alignment - 1)
    }

    /// Returns the size of a record with header and padding, in bytes.
    static func recordBytes(payload: Int) -> Int { recordHeaderBytes + aligned(payload) }

    /// Returns the bytes of a file header.
    ///
    /// - Parameters:
    ///   - number: the file number.
    ///   - recycledEnd: the file offset at which the old bytes of the recycled file end; 0 if the
    ///     file was not recycled.
    static func fileHeader(number: UInt32, salt: UInt32, recycledEnd: Int) -> [UInt8] {
        var bytes = Array(magic.bytes)
        bytes.append(little: version)
        bytes.append(little: number)
        bytes.append(little: salt)
        bytes.append(little: UInt64(recycledEnd))
        bytes += [UInt8](repeating: 0, count: fileHeaderBytes - 4 - bytes.count)
        bytes.append(little: bytes.withUnsafeBytes { CRC32C.checksum($0) })
        return bytes
    }

    enum FileHeader: Equatable {
        case valid(salt: UInt32, recycledEnd: Int)
        /// The file still has the header of the recycled file, because the new header was never
        /// synced.
        case ofRecycledFile
        case newer(version: UInt32)
        case damaged
    }

    /// Checks a file header. Newer format versions keep the layout of the file header, so that a
    /// newer version is not reported as damage.
    static func check(fileHeader bytes: Bytes, number: UInt32) -> FileHeader {
        guard bytes.count >= fileHeaderBytes, bytes.prefix(8).elementsEqual(magic.bytes),
            bytes.little(at: fileHeaderBytes - 4, as: UInt32.self)
                == CRC32C.checksum(bytes.view(0..<fileHeaderBytes - 4))
        else { return .damaged }
        let version = bytes.little(at: 8, as: UInt32.self)
        guard version <= Self.version else { return .newer(version: version) }
        let written = bytes.little(at: 12, as: UInt32.self)
        guard written == number else { return written < number ? .ofRecycledFile : .damaged }
        return .valid(
            salt: bytes.little(at: 16, as: UInt32.self),
            recycledEnd: Int(truncatingIfNeeded: bytes.little(at: 20, as: UInt64.self)))
    }
}

extension UnsafeRawBufferPointer {
    /// Reads the little-endian integer at `offset`.
    func little<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type) -> T {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}

extension [UInt8] {
    /// Appends an integer in little-endian byte order.
    mutating func append<T: FixedWidthInteger>(little value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}
