import NSQWire

/// Reads the body that follows a command line, and says how many bytes it lacks.
struct BodyReader {
    let bytes: Bytes
    /// Where the command's first byte lies.
    let commandStart: Int
    /// What is to be read next; behind the whole command once it has been read.
    private(set) var offset: Int
    /// Counted from the command's first byte.
    private(set) var neededBytes = 0

    init(bytes: Bytes, commandStart: Int, offset: Int) {
        self.bytes = bytes
        self.commandStart = commandStart
        self.offset = offset
    }

    /// Reads a 32-bit length or count, or notes that it is not all there.
    mutating func int32() -> Int? {
        take(4).map { Int($0.bigEndian(at: 0, as: Int32.self)) }
    }

    /// Reads `count` bytes, or notes that they are not all there.
    mutating func take(_ count: Int) -> Bytes? {
        guard bytes.count - offset >= count else {
            neededBytes = offset - commandStart + count
            return nil
        }
        defer { offset += count }
        return bytes.view(offset..<offset + count)
    }

    /// Goes on from `offset`, which lies within the bytes or at their end.
    mutating func skip(to offset: Int) { self.offset = offset }
}
