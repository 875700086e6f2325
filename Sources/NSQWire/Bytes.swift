/// Bytes of somebody else's, valid for the length of a call: what the codec reads from.
///
/// Nothing in this room keeps one. Every read below is within bounds that the caller has checked;
/// the subscripts of a buffer pointer are checked in debug builds only, so the tests (which are
/// debug builds, also under the address sanitizer) are where a wrong bound shows.
///
/// Types of this room whose members are `@inlinable` are `@usableFromInline`. Without it the
/// members of a package type are calls in every other room, whatever stands before them: that made
/// consuming four times as dear.
@usableFromInline
package typealias Bytes = UnsafeRawBufferPointer

extension UnsafeRawBufferPointer {
    /// The bytes in `range`, as a view of their own that starts at 0.
    @inlinable
    package func view(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[range])
    }

    /// The big-endian integer at `offset`: NSQ's byte order throughout.
    @inlinable
    package func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, as type: T.Type
    ) -> T {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}

extension [UInt8] {
    /// Appends `value` in NSQ's byte order.
    @inlinable
    package mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// Appends `value` in decimal digits.
    package mutating func append(decimal value: some BinaryInteger) {
        append(contentsOf: String(value).utf8)
    }
}
