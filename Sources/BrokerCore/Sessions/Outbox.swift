import NSQWire

/// The bytes to send to one client: copied frames (responses, heartbeats, redeliveries), and byte
/// ranges of consecutive messages in a segment's slab.
///
/// The broker fills the outbox. Once per loop iteration, the TCP layer writes all pieces of the
/// outbox with one system call.
package struct Outbox {
    /// A byte range of a slab, or of the outbox's own memory if `slab` is `nil`.
    private struct Piece {
        var slab: Slab?
        var start: Int
        var end: Int
    }

    private var pieces: [Piece] = []
    /// The number of leading pieces that were sent completely.
    private var sentPieces = 0
    private var own: OwnBytes?

    /// The number of unsent bytes.
    package private(set) var byteCount = 0

    private let account: MemoryAccount?

    /// Creates an empty outbox.
    ///
    /// - Parameter account: the account of the memory of copied bytes.
    package init(_ account: MemoryAccount? = nil) { self.account = account }

    package var isEmpty: Bool { byteCount == 0 }

    /// Appends the bytes `range` of a slab without copying them.
    mutating func append(_ slab: Slab, _ range: Range<Int>) {
        byteCount += range.count
        if let last = pieces.indices.last, pieces[last].slab === slab,
            pieces[last].end == range.lowerBound
        {
            pieces[last].end = range.upperBound
        } else {
            pieces.append(Piece(slab: slab, start: range.lowerBound, end: range.upperBound))
        }
    }

    /// Appends a copy of `bytes`.
    mutating func append(_ bytes: Bytes) {
        guard let base = bytes.baseAddress else { return }
        grow(bytes.count).copyMemory(from: base, byteCount: bytes.count)
    }

    /// Appends a copy of `bytes`.
    package mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Appends a copy of a message frame, with another number of attempts.
    mutating func append(redelivery frame: Bytes, attempts: UInt16) {
        let place = grow(frame.count)
        place.copyMemory(from: frame.baseAddress!, byteCount: frame.count)
        MessageFrame.writeAttempts(attempts, to: place)
    }

    /// Appends the response `OK`, a frame of ten bytes.
    mutating func appendOK() {
        let place = grow(10)
        place.storeBytes(of: UInt64(6 << 32).bigEndian, as: UInt64.self)
        place.storeBytes(of: UInt16(0x4f4b).bigEndian, toByteOffset: 8, as: UInt16.self)
    }

    /// Extends the outbox's own memory by `count` bytes.
    ///
    /// - Returns: the address of the added bytes.
    private mutating func grow(_ count: Int) -> UnsafeMutableRawPointer {
        byteCount += count
        if own == nil { own = OwnBytes(account) }
        let start = own!.count
        let place = own!.grow(by: count)
        if let last = pieces.indices.last, pieces[last].slab == nil, pieces[last].end == start {
            pieces[last].end += count
        } else {
            pieces.append(Piece(slab: nil, start: start, end: start + count))
        }
        return place
    }

    // MARK: Sending

    /// The number of pieces that were not sent completely.
    package var pieceCount: Int { pieces.count - sentPieces }

    /// Fills `slices` with the next pieces to send.
    ///
    /// - Parameters:
    ///   - slices: uninitialized memory for the slices.
    ///   - make: a closure that creates a slice from an address and a number of bytes.
    /// - Returns: the number of initialized slices. The slices are valid until the outbox changes.
    package func fill<Slice>(
        _ slices: UnsafeMutableBufferPointer<Slice>, _ make: (UnsafeRawPointer, Int) -> Slice
    ) -> Int {
        let count = min(slices.count, pieces.count - sentPieces)
        for index in 0..<count {
            let piece = pieces[sentPieces + index]
            let base = piece.slab.map { UnsafeRawPointer($0.base) } ?? UnsafeRawPointer(own!.base)
            slices.initializeElement(
                at: index, to: make(base + piece.start, piece.end - piece.start))
        }
        return count
    }

    /// Removes the first `count` bytes after they were sent.
    package mutating func consume(_ count: Int) {
        byteCount -= count
        guard byteCount > 0 else { return clear() }
        var left = count
        while left > 0 {
            let length = pieces[sentPieces].end - pieces[sentPieces].start
            guard length <= left else {
                pieces[sentPieces].start += left
                return
            }
            left -= length
            pieces[sentPieces].slab = nil
            sentPieces += 1
        }
    }

    /// Calls `body` with each piece in order, up to `limit` bytes in total, and removes these
    /// bytes.
    ///
    /// - Returns: the number of removed bytes.
    @discardableResult
    package mutating func drain(atMost limit: Int = .max, _ body: (Bytes) -> Void) -> Int {
        let count = min(limit, byteCount)
        guard count > 0 else { return 0 }
        var left = count
        for piece in pieces[sentPieces...] {
            guard left > 0 else { break }
            let length = min(piece.end - piece.start, left)
            let base = piece.slab.map { UnsafeRawPointer($0.base) } ?? UnsafeRawPointer(own!.base)
            body(Bytes(start: base + piece.start, count: length))
            left -= length
        }
        consume(count)
        return count
    }

    /// Moves the contents to a new outbox, for a write that completes later. An outbox that never
    /// becomes empty would never release the memory of sent bytes.
    package mutating func detach() -> Outbox {
        let all = self
        self = Outbox(account)
        return all
    }

    /// Releases the memory of an empty outbox, so that 10,000 idle connections need little memory.
    private mutating func clear() {
        byteCount = 0
        sentPieces = 0
        pieces.removeAll(keepingCapacity: pieces.capacity <= 16)
        if own?.removeAll() == true { own = nil }
    }
}

/// The memory for the bytes that an outbox has copied. The memory keeps its address when the outbox
/// is detached.
private final class OwnBytes {
    private(set) var base: UnsafeMutableRawPointer
    private(set) var count = 0
    private var capacity = 512
    private var memory: AccountedMemory

    init(_ account: MemoryAccount?) {
        memory = AccountedMemory(account, .output)
        base = .allocate(byteCount: capacity, alignment: 8)
    }

    deinit { base.deallocate() }

    /// Adds `amount` bytes.
    ///
    /// - Returns: the address of the added bytes.
    func grow(by amount: Int) -> UnsafeMutableRawPointer {
        if count + amount > capacity {
            capacity = max(capacity * 2, count + amount)
            let wider = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
            wider.copyMemory(from: base, byteCount: count)
            base.deallocate()
            base = wider
            memory.set(capacity)
        }
        defer { count += amount }
        return base + count
    }

    /// Removes all bytes.
    ///
    /// - Returns: `true` if the memory has grown and should be released.
    func removeAll() -> Bool {
        count = 0
        return capacity > 512
    }
}
