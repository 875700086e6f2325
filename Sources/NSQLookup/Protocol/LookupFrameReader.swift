import NSQWire

/// Splits the bytes of one connection into the units of nsqlookupd's protocol: the magic, command
/// lines, and the body of IDENTIFY.
struct LookupFrameReader {
    enum Unit: Equatable {
        case magic([UInt8])
        case line([UInt8])
        /// The body of IDENTIFY.
        case body([UInt8])
        /// The body of IDENTIFY has a length that is not allowed.
        case badBodyLength(Int)
        /// A line is longer than ``Limits/lineBytes``.
        case lineTooLong
    }

    private enum Expectation {
        case magic, line, bodyLength
        case body(Int)
    }

    private var expectation = Expectation.magic
    private var buffer: [UInt8] = []
    /// The number of bytes at the start of `buffer` that were already returned.
    private var consumed = 0

    static let magicBytes = 4
    /// The maximum size of the body of IDENTIFY in bytes. nsqd sends less than 1 KiB.
    static let maxBodyBytes = Limits.smallBodyBytes

    /// The position within the protocol at which the input ends.
    enum End { case betweenCommands, inMagic, inBodyLength, inBody }

    var end: End {
        switch expectation {
        case .magic: .inMagic
        case .line: .betweenCommands
        case .bodyLength: .inBodyLength
        case .body: .inBody
        }
    }

    /// Appends received bytes. The caller then calls ``next()`` until it returns `nil`, so the
    /// buffer contains at most one incomplete unit when more bytes are appended.
    mutating func append(_ bytes: some Sequence<UInt8>) {
        buffer.removeFirst(consumed)
        consumed = 0
        buffer += bytes
    }

    /// Makes ``next()`` expect the length and the body of IDENTIFY.
    mutating func expectBody() { expectation = .bodyLength }

    /// Returns the next complete unit; `nil` if more bytes are needed.
    mutating func next() -> Unit? {
        switch expectation {
        case .magic: return nextMagic()
        case .line: return nextLine()
        case .bodyLength:
            guard let length = nextLength() else { return nil }
            guard (0...Self.maxBodyBytes).contains(length) else { return .badBodyLength(length) }
            expectation = .body(length)
            return nextBody(length)
        case .body(let length): return nextBody(length)
        }
    }

    private var rest: ArraySlice<UInt8> { buffer[consumed...] }

    private mutating func nextMagic() -> Unit? {
        guard let magic = take(Self.magicBytes) else { return nil }
        expectation = .line
        return .magic(magic)
    }

    private mutating func nextLine() -> Unit? {
        let window = rest.prefix(Limits.lineBytes)
        guard let end = window.firstIndex(of: UInt8(ascii: "\n")) else {
            return window.count == Limits.lineBytes ? .lineTooLong : nil
        }
        defer { consumed = end + 1 }
        return .line(Array(window[..<end]))
    }

    private mutating func nextLength() -> Int? {
        guard let bytes = take(4) else { return nil }
        return bytes.withUnsafeBytes { Int($0.bigEndian(at: 0, as: Int32.self)) }
    }

    private mutating func nextBody(_ length: Int) -> Unit? {
        guard let body = take(length) else { return nil }
        expectation = .line
        return .body(body)
    }

    private mutating func take(_ count: Int) -> [UInt8]? {
        guard rest.count >= count else { return nil }
        defer { consumed += count }
        return Array(rest.prefix(count))
    }
}
