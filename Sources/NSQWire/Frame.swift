/// A frame from a broker to a client: `int32 size, int32 type, data`. Integers are big-endian, and
/// the size includes the type and the data.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, Data Format.
@usableFromInline
package enum Frame {
    /// The type of a frame.
    @usableFromInline
    package enum Kind: Int32, Sendable {
        case response = 0
        case error = 1
        case message = 2
    }

    /// The length of the size and type fields together, in bytes.
    @inlinable package static var headerBytes: Int { 8 }

    /// The response to a successful command.
    package static let ok: StaticString = "OK"
    /// The response that is sent as a heartbeat.
    package static let heartbeat: StaticString = "_heartbeat_"
    /// The response to CLS.
    package static let closeWait: StaticString = "CLOSE_WAIT"

    package static func append(_ kind: Kind, _ data: some Collection<UInt8>, to out: inout [UInt8])
    {
        out.append(bigEndian: Int32(data.count + 4))
        out.append(bigEndian: kind.rawValue)
        out.append(contentsOf: data)
    }
}

extension StaticString {
    /// The UTF-8 bytes of the text.
    package var bytes: UnsafeBufferPointer<UInt8> {
        // SAFETY: the bytes of a static string are part of the binary and are never freed.
        UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}

/// The layout of a message frame, with offsets from the frame's first byte.
@usableFromInline
package enum MessageFrame {
    /// The offset of the timestamp, which has 8 bytes.
    @inlinable package static var timestampOffset: Int { 8 }
    /// The offset of the number of attempts, which has 2 bytes.
    @inlinable package static var attemptsOffset: Int { 16 }
    /// The offset of the message ID, which has 16 bytes.
    @inlinable package static var idOffset: Int { 18 }
    /// The offset of the body.
    @inlinable package static var bodyOffset: Int { 34 }

    /// Returns the length in bytes of a frame whose message body has `bodyBytes` bytes.
    @inlinable
    package static func byteCount(bodyBytes: Int) -> Int { bodyOffset + bodyBytes }

    /// Returns the length in bytes of the frame that starts at `offset`.
    @inlinable
    package static func byteCount(of frames: Bytes, at offset: Int) -> Int {
        4 + Int(UInt32(truncatingIfNeeded: frames.bigEndian(at: offset, as: Int32.self)))
    }

    /// Writes all fields before the body, with an attempt count of 1 for the first delivery.
    ///
    /// - Parameter id: the 16 bytes of the message ID in wire order, as two halves.
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

    /// Overwrites the number of attempts in a message frame.
    @inlinable
    package static func writeAttempts(_ attempts: UInt16, to frame: UnsafeMutableRawPointer) {
        frame.storeBytes(of: attempts.bigEndian, toByteOffset: attemptsOffset, as: UInt16.self)
    }
}
