import NSQWire

/// Reads the body that follows a command line.
struct BodyReader {
    let bytes: Bytes
    /// The offset of the command's first byte in `bytes`.
    let commandStart: Int
    /// The offset of the next byte to read in `bytes`.
    private(set) var offset: Int
    /// The number of bytes, counted from the start of the command, that the last failed read
    /// required.
    private(set) var neededBytes = 0

    init(bytes: Bytes, commandStart: Int, offset: Int) {
        self.bytes = bytes
        self.commandStart = commandStart
        self.offset = offset
    }

    /// Reads a 32-bit size or count; `nil` if its bytes have not all arrived.
    mutating func int32() -> Int? {
        read(4).map { Int($0.bigEndian(at: 0, as: Int32.self)) }
    }

    /// Reads `count` bytes; `nil` if they have not all arrived.
    mutating func read(_ count: Int) -> Bytes? {
        guard bytes.count - offset >= count else {
            neededBytes = offset - commandStart + count
            return nil
        }
        defer { offset += count }
        return bytes.view(offset..<offset + count)
    }

    /// Sets the offset of the next byte to read, which must be at most `bytes.count`.
    mutating func skip(to offset: Int) { self.offset = offset }
}
