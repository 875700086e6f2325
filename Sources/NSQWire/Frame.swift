/// What a broker sends: `int32 size, int32 type, data`, all big-endian, the size without itself.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, Data Format.
@usableFromInline
package enum Frame {
    @usableFromInline
    package enum Kind: Int32, Sendable {
        case response = 0
        case error = 1
        case message = 2
    }

    /// Size and type.
    @inlinable package static var headerBytes: Int { 8 }

    package static let ok: StaticString = "OK"
    package static let heartbeat: StaticString = "_heartbeat_"
    package static let closeWait: StaticString = "CLOSE_WAIT"

    package static func append(_ kind: Kind, _ data: some Collection<UInt8>, to out: inout [UInt8])
    {
        out.append(bigEndian: Int32(data.count + 4))
        out.append(bigEndian: kind.rawValue)
        out.append(contentsOf: data)
    }
}

extension StaticString {
    /// The text's bytes.
    package var bytes: UnsafeBufferPointer<UInt8> {
        // SAFETY: a static string lies in the binary: its bytes stay for ever.
        UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}

/// Where the parts of a message frame lie, counted from the frame's first byte.
@usableFromInline
package enum MessageFrame {
    @inlinable package static var timestampOffset: Int { 8 }
    @inlinable package static var attemptsOffset: Int { 16 }
    @inlinable package static var idOffset: Int { 18 }
    @inlinable package static var bodyOffset: Int { 34 }

    /// The length of the whole frame for a body of `bodyBytes`.
    @inlinable
    package static func byteCount(bodyBytes: Int) -> Int { bodyOffset + bodyBytes }

    /// The length of the whole frame that begins at `offset`.
    @inlinable
    package static func byteCount(of frames: Bytes, at offset: Int) -> Int {
        4 + Int(UInt32(truncatingIfNeeded: frames.bigEndian(at: offset, as: Int32.self)))
    }

    /// Writes everything before the body, with `attempts` 1 (a message's first delivery).
    ///
    /// - Parameter id: the 16 bytes of its ID, eight and eight, as they lie on the wire.
    @inlinable
    package static func writeHeader(
        to frame: UnsafeMutableRawPointer, bodyBytes: Int, timestampNanoseconds: Int64,
        id: (UInt64, UInt64)
    ) {
        let size = UInt64(UInt32(truncatingIfNeeded: bodyBytes + bodyOffset - 4))
        frame.storeBytes(of: (size << 32 | 2).bigEndian, as: UInt64.self)
        frame.storeBytes(
            of: timestampNanoseconds.bigEndian, toByteOffset: timestampOffset, as: Int64.self)
        writeAttempts(1, to: frame)
        frame.storeBytes(of: id.0, toByteOffset: idOffset, as: UInt64.self)
        frame.storeBytes(of: id.1, toByteOffset: idOffset + 8, as: UInt64.self)
    }

    @inlinable
    package static func writeAttempts(_ attempts: UInt16, to frame: UnsafeMutableRawPointer) {
        frame.storeBytes(of: attempts.bigEndian, toByteOffset: attemptsOffset, as: UInt16.self)
    }
}
