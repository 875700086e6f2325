/// A borrowed range of bytes, valid only during the call that receives it. The types in this module
/// never store such a range.
///
/// Callers check bounds before they read. The subscripts of a buffer pointer check bounds in debug
/// builds only, so the tests run as debug builds and with the address sanitizer.
///
/// Types in this module with `@inlinable` members are `@usableFromInline`. Without that attribute,
/// other modules call the members of a package type instead of inlining them, which made consumers
/// four times slower.
@usableFromInline
package typealias Bytes = UnsafeRawBufferPointer

extension UnsafeRawBufferPointer {
    /// The bytes in `range`, as a buffer that starts at index 0.
    @inlinable
    package func view(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[range])
    }

    /// Reads the big-endian integer at `offset`. All integers in NSQ's binary protocol are
    /// big-endian.
    @inlinable
    package func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, as type: T.Type
    ) -> T {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}

extension [UInt8] {
    /// Appends an integer in big-endian byte order.
    @inlinable
    package mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// Appends an integer as decimal digits.
    package mutating func append(decimal value: some BinaryInteger) {
        append(contentsOf: String(value).utf8)
    }
}
