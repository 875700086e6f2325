/// A frame as a client sees it, its parts still lying in the bytes it was read from.
@usableFromInline
package struct ReceivedFrame {
    @usableFromInline package let kind: Frame.Kind
    /// Everything after the type. Valid as long as the bytes it was read from.
    @usableFromInline package let data: Bytes

    @inlinable
    package init(kind: Frame.Kind, data: Bytes) {
        self.kind = kind
        self.data = data
    }
}

/// A message frame's data, taken apart.
@usableFromInline
package struct ReceivedMessage {
    @usableFromInline package let timestampNanoseconds: Int64
    @usableFromInline package let attempts: UInt16
    @usableFromInline package let id: MessageID
    @usableFromInline package let body: Bytes

    /// - Returns: `nil` if the data is too short for a message's header.
    @inlinable
    package init?(data: Bytes) {
        guard data.count >= MessageFrame.bodyOffset - 8, let base = data.baseAddress else {
            return nil
        }
        timestampNanoseconds = data.bigEndian(at: 0, as: Int64.self)
        attempts = data.bigEndian(at: 8, as: UInt16.self)
        id = MessageID(readingFrom: base + 10)
        body = data.view(26..<data.count)
    }
}

/// What a broker cannot have meant: the connection is of no further use.
@usableFromInline
package enum FrameError: Error, Equatable, Sendable {
    case badSize(Int32)
    case badKind(Int32)
    case shortMessage(bytes: Int)
}

/// Reads frames from bytes as they come.
@usableFromInline
package enum FrameReader {
    /// Reads the frame at `offset` and moves `offset` behind it.
    ///
    /// - Returns: `nil`, with `offset` unmoved, if the frame is not complete yet.
    @inlinable
    package static func next(
        in bytes: Bytes, at offset: inout Int, limit: Int = Limits.frameBytes
    ) throws(FrameError) -> ReceivedFrame? {
        guard bytes.count - offset >= 4 else { return nil }
        let size = bytes.bigEndian(at: offset, as: Int32.self)
        guard size >= 4, Int(size) <= limit else { throw .badSize(size) }
        guard bytes.count - offset >= Frame.headerBytes else { return nil }
        let rawKind = bytes.bigEndian(at: offset + 4, as: Int32.self)
        guard let kind = Frame.Kind(rawValue: rawKind) else { throw .badKind(rawKind) }
        let end = offset + 4 + Int(size)
        guard end <= bytes.count else { return nil }
        let data = bytes.view(offset + Frame.headerBytes..<end)
        offset = end
        return ReceivedFrame(kind: kind, data: data)
    }
}

/// Reads frames from chunks that come in any sizes, keeping what is not yet a whole frame.
package struct FrameDecoder {
    private var kept: [UInt8] = []
    private let limit: Int

    package init(limit: Int = Limits.frameBytes) {
        self.limit = limit
    }

    /// Bytes that wait for the rest of their frame.
    package var keptBytes: Int { kept.count }

    /// Takes `chunk` and hands every frame that is complete by now to `body`.
    package mutating func feed(
        _ chunk: some Collection<UInt8>, _ body: (ReceivedFrame) -> Void
    ) throws(FrameError) {
        kept.append(contentsOf: chunk)
        var offset = 0
        defer { kept.removeFirst(offset) }
        let outcome = kept.withUnsafeBytes { bytes -> FrameError? in
            do throws(FrameError) {
                while let frame = try FrameReader.next(in: bytes, at: &offset, limit: limit) {
                    body(frame)
                }
                return nil
            } catch {
                return error
            }
        }
        if let outcome { throw outcome }
    }
}
