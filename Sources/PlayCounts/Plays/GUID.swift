/// The identifier of a video.
package typealias VideoID = GUID

/// A 128-bit identifier, written as 32 hexadecimal digits in groups of 8-4-4-4-12.
///
/// Parsing accepts upper and lower case. The text is written in lower case, so that clients receive
/// one form of each ID. Other forms (with braces, without hyphens, with `urn:`) are invalid,
/// because other tools may treat them as different IDs.
package struct GUID: Hashable, Sendable {
    /// The length of the text in bytes.
    package static let textBytes = 36

    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Parses a GUID; `nil` if the text has another form.
    package init?(_ text: some StringProtocol) {
        let read = text.utf8.withContiguousStorageIfAvailable {
            GUID(text: UnsafeRawBufferPointer($0))
        }
        guard let guid = read ?? Array(text.utf8).withUnsafeBytes({ GUID(text: $0) }) else {
            return nil
        }
        self = guid
    }

    /// Parses a GUID; `nil` if the text has another form.
    ///
    /// The initializer parses eight digits at a time, because the two GUIDs of a message take much
    /// of the time of parsing it. The suite `Speed` measures this.
    package init?(text: UnsafeRawBufferPointer) {
        guard
            text.count == GUID.textBytes,
            text[8] == .hyphen, text[13] == .hyphen, text[18] == .hyphen, text[23] == .hyphen,
            let first = EightDigits(eight(text, 0)).value,
            let second = EightDigits(four(text, 9) | four(text, 14) << 32).value,
            let third = EightDigits(four(text, 19) | four(text, 24) << 32).value,
            let fourth = EightDigits(eight(text, 28)).value
        else { return nil }
        self.init(high: first << 32 | second, low: third << 32 | fourth)
    }

    /// The text in lower case.
    package var text: String {
        String(unsafeUninitializedCapacity: GUID.textBytes) { bytes in
            write(to: UnsafeMutableRawBufferPointer(bytes))
            return GUID.textBytes
        }
    }

    /// Writes the 36 bytes of the text to the start of `bytes`.
    package func write(to bytes: UnsafeMutableRawBufferPointer) {
        precondition(bytes.count >= GUID.textBytes, "a GUID needs 36 bytes")
        let second = EightDigits(of: UInt32(truncatingIfNeeded: high)).ascii
        let third = EightDigits(of: UInt32(truncatingIfNeeded: low >> 32)).ascii
        store(EightDigits(of: UInt32(truncatingIfNeeded: high >> 32)).ascii, in: bytes, at: 0)
        store(UInt32(truncatingIfNeeded: second), in: bytes, at: 9)
        store(UInt32(truncatingIfNeeded: second >> 32), in: bytes, at: 14)
        store(UInt32(truncatingIfNeeded: third), in: bytes, at: 19)
        store(UInt32(truncatingIfNeeded: third >> 32), in: bytes, at: 24)
        store(EightDigits(of: UInt32(truncatingIfNeeded: low)).ascii, in: bytes, at: 28)
        bytes[8] = .hyphen
        bytes[13] = .hyphen
        bytes[18] = .hyphen
        bytes[23] = .hyphen
    }
}

extension GUID: CustomStringConvertible {
    package var description: String { text }
}

/// Eight hexadecimal ASCII digits in a 64-bit word. The first digit is in the lowest byte, as after
/// a little-endian load.
private struct EightDigits {
    let ascii: UInt64

    init(_ ascii: UInt64) {
        self.ascii = ascii
    }

    /// The number that the digits represent, or `nil` if a byte is not a hexadecimal digit.
    ///
    /// All bytes are tested at once for `0`…`9` and, with the case bit set, for `a`…`f`. Adding
    /// 0x80 minus a bound sets the top bit of each byte that is at least the bound.
    var value: UInt64? {
        let tops = 0x8080_8080_8080_8080 as UInt64
        let lower = ascii | every(0x20)
        let decimal = (ascii &+ every(0x80 - 0x30)) & ~(ascii &+ every(0x80 - 0x3A))
        let letter = (lower &+ every(0x80 - 0x61)) & ~(lower &+ every(0x80 - 0x67)) & tops
        guard ascii & tops == 0, (decimal | letter) & tops == tops else { return nil }
        let digits = ((ascii & every(0x0F)) &+ (letter >> 7) &* 9).byteSwapped
        let pairs = (digits | digits >> 4) & 0x00FF_00FF_00FF_00FF
        let fours = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF
        return (fours | fours >> 16) & 0xFFFF_FFFF
    }

    /// Creates the digits of a number. Each nibble is moved to a byte of its own, and the distance
    /// to `0` or to `a` is added.
    init(of value: UInt32) {
        let whole = UInt64(value)
        let fours = (whole | whole << 16) & 0x0000_FFFF_0000_FFFF
        let pairs = (fours | fours << 8) & 0x00FF_00FF_00FF_00FF
        let digits = ((pairs | pairs << 4) & every(0x0F)).byteSwapped
        let letters = ((digits &+ every(6)) >> 4) & every(1)
        ascii = digits &+ every(0x30) &+ letters &* 39
    }
}

private func every(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }

private func eight(_ text: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
}

private func four(_ text: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(UInt32(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
}

private func store(
    _ digits: some FixedWidthInteger & BitwiseCopyable, in bytes: UnsafeMutableRawBufferPointer,
    at offset: Int
) {
    bytes.storeBytes(of: digits.littleEndian, toByteOffset: offset, as: type(of: digits))
}
