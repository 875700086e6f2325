/// The 16 bytes that identify a message on the wire.
///
/// The bytes are opaque to clients. nsqd and this broker use 16 lower-case hex digits. A client may
/// send any 16 bytes, which need not be the ID of a message.
@usableFromInline
package struct MessageID: Hashable, Sendable {
    /// The length of an ID in the protocol, in bytes.
    @inlinable package static var byteCount: Int { 16 }

    /// The bytes 1 to 8 (`first`) and 9 to 16 (`second`) in wire order, each stored as an integer
    /// in memory byte order.
    @usableFromInline let first: UInt64
    @usableFromInline let second: UInt64

    /// Reads 16 bytes at `pointer`.
    @inlinable
    package init(readingFrom pointer: UnsafeRawPointer) {
        first = pointer.loadUnaligned(as: UInt64.self)
        second = pointer.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    }

    /// Creates the ID that consists of the 16 hex digits of `number`.
    @inlinable
    package init(_ number: UInt64) {
        first = Hex.digits(of: UInt32(truncatingIfNeeded: number >> 32))
        second = Hex.digits(of: UInt32(truncatingIfNeeded: number))
    }

    /// Creates the ID with this text; `nil` if it is not 16 lower-case hex digits.
    package init?(text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == Self.byteCount else { return nil }
        self = bytes.withUnsafeBytes { MessageID(readingFrom: $0.baseAddress!) }
        guard number != nil else { return nil }
    }

    /// Writes the 16 bytes to `pointer`.
    @inlinable
    package func write(to pointer: UnsafeMutableRawPointer) {
        pointer.storeBytes(of: first, as: UInt64.self)
        pointer.storeBytes(of: second, toByteOffset: 8, as: UInt64.self)
    }

    /// The integer whose hex digits are the ID; `nil` if the ID is not 16 lower-case hex digits.
    @inlinable
    package var number: UInt64? {
        guard let high = Hex.value(of: first), let low = Hex.value(of: second) else { return nil }
        return UInt64(high) << 32 | UInt64(low)
    }

    /// The 16 bytes in wire order.
    package var bytes: [UInt8] {
        withUnsafeBytes(of: first) { Array($0) } + withUnsafeBytes(of: second) { Array($0) }
    }

    /// The ID as text.
    package var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension MessageID: CustomStringConvertible {
    @usableFromInline package var description: String { text }
}

/// Conversions between integers and lower-case hex digits. Eight digits are processed in one 64-bit
/// integer.
@usableFromInline
package enum Hex {
    /// Returns the eight lower-case hex digits of `value`, with the first digit in the lowest byte.
    @inlinable
    package static func digits(of value: UInt32) -> UInt64 {
        // The eight nibbles are spread over eight bytes, which are then converted to digits
        // together.
        var spread = UInt64(value.byteSwapped)
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread >> 4 | spread << 8) & 0x0f0f_0f0f_0f0f_0f0f
        let isLetter = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return spread &+ 0x3030_3030_3030_3030 &+ isLetter &* 0x27
    }

    /// Returns the value of eight lower-case hex digits; `nil` if a byte is not such a digit.
    @inlinable
    package static func value(of digits: UInt64) -> UInt32? {
        var value: UInt32 = 0
        var rest = digits
        for _ in 0..<8 {
            let nibble: UInt32
            switch UInt8(truncatingIfNeeded: rest) {
            case let byte where byte >= 0x30 && byte <= 0x39: nibble = UInt32(byte) - 0x30
            case let byte where byte >= 0x61 && byte <= 0x66: nibble = UInt32(byte) - 0x57
            default: return nil
            }
            value = value << 4 | nibble
            rest >>= 8
        }
        return value
    }

    /// Returns the value of four lower-case hex digits; `nil` if a byte is not such a digit.
    @inlinable
    package static func lastFour(_ digits: UInt32) -> Int? {
        // In ASCII, '0'…'9' are hex 30…39 and 'a'…'f' are 61…66. The value of a digit is its low
        // nibble, plus nine for a letter. Converting the value back to digits detects bytes that
        // are not digits.
        let isLetter = (digits >> 6) & 0x0101_0101
        let nibbles = (digits & 0x0f0f_0f0f) &+ isLetter &* 9
        let pairs = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff
        let value = (pairs & 0xff) << 8 | pairs >> 16
        guard Hex.digits(of: value) >> 32 == UInt64(digits) else { return nil }
        return Int(value)
    }
}
