/// Reads frames from a buffer.
@usableFromInline
package enum FrameScanner {
    /// Reads the frame at `offset` and advances `offset` past it.
    ///
    /// - Parameter limit: the maximum size of a frame in bytes.
    /// - Returns: `nil`, without advancing `offset`, if the frame is incomplete.
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

/// Decodes frames from chunks of any size, and stores the bytes of an incomplete frame.
package struct FrameDecoder {
    private var buffer: [UInt8] = []
    private let limit: Int

    /// Creates a decoder.
    ///
    /// - Parameter limit: the maximum size of a frame in bytes.
    package init(limit: Int = Limits.frameBytes) {
        self.limit = limit
    }

    /// The number of stored bytes, which belong to an incomplete frame.
    package var bufferedBytes: Int { buffer.count }

    /// Appends `chunk`, and calls `body` with each frame that is now complete.
    package mutating func feed(
        _ chunk: some Collection<UInt8>, _ body: (ReceivedFrame) -> Void
    ) throws(FrameError) {
        buffer.append(contentsOf: chunk)
        var offset = 0
        defer { buffer.removeFirst(offset) }
        let failure = buffer.withUnsafeBytes { bytes -> FrameError? in
            do throws(FrameError) {
                while let frame = try FrameScanner.next(in: bytes, at: &offset, limit: limit) {
                    body(frame)
                }
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }
}
