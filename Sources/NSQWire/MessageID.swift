/// The 16 bytes that name a message on the wire.
///
/// To a client they are opaque. nsqd, and our broker too, writes 16 lower-case hex digits; a client
/// may send back any 16 bytes, which then merely name nothing.
@usableFromInline
package struct MessageID: Hashable, Sendable {
    @inlinable package static var byteCount: Int { 16 }

    /// The bytes as they lie on the wire, eight and eight, in the machine's own order.
    @usableFromInline let first: UInt64
    @usableFromInline let second: UInt64

    /// Reads the 16 bytes at `pointer`.
    @inlinable
    package init(readingFrom pointer: UnsafeRawPointer) {
        first = pointer.loadUnaligned(as: UInt64.self)
        second = pointer.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    }

    /// The ID that spells `number` in hex.
    @inlinable
    package init(_ number: UInt64) {
        first = Hex.digits(of: UInt32(truncatingIfNeeded: number >> 32))
        second = Hex.digits(of: UInt32(truncatingIfNeeded: number))
    }

    @inlinable
    package func write(to pointer: UnsafeMutableRawPointer) {
        pointer.storeBytes(of: first, as: UInt64.self)
        pointer.storeBytes(of: second, toByteOffset: 8, as: UInt64.self)
    }

    /// The number the ID spells, or `nil` if it is not lower-case hex.
    @inlinable
    package var number: UInt64? {
        guard let high = Hex.value(of: first), let low = Hex.value(of: second) else { return nil }
        return UInt64(high) << 32 | UInt64(low)
    }

    /// The 16 bytes in the order of the wire.
    package var bytes: [UInt8] {
        withUnsafeBytes(of: first) { Array($0) } + withUnsafeBytes(of: second) { Array($0) }
    }

    package var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension MessageID: CustomStringConvertible {
    @usableFromInline package var description: String { text }
}

/// Hex digits eight at a time, as they lie in memory.
@usableFromInline
package enum Hex {
    /// The eight lower-case digits of `value`, first digit in the lowest byte.
    @inlinable
    package static func digits(of value: UInt32) -> UInt64 {
        // Spread the eight nibbles over eight bytes, then turn 0…15 into '0'…'9', 'a'…'f' at once.
        var spread = UInt64(value.byteSwapped)
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread >> 4 | spread << 8) & 0x0f0f_0f0f_0f0f_0f0f
        let isLetter = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return spread &+ 0x3030_3030_3030_3030 &+ isLetter &* 0x27
    }

    /// The number that eight lower-case digits spell, or `nil` if one of them is not such a digit.
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

    /// The number that four lower-case digits spell, or `nil` if one of them is not such a digit.
    @inlinable
    package static func lastFour(_ digits: UInt32) -> Int? {
        // '0'…'9' are 30…39, 'a'…'f' 61…66: take the low nibble, and nine more for a letter; then
        // turn it into digits again, which shows whether they were digits before.
        let isLetter = (digits >> 6) & 0x0101_0101
        let nibbles = (digits & 0x0f0f_0f0f) &+ isLetter &* 9
        let pairs = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff
        let value = (pairs & 0xff) << 8 | pairs >> 16
        guard Hex.digits(of: value) >> 32 == UInt64(digits) else { return nil }
        return Int(value)
    }
}
