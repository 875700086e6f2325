import NSQWire

/// What is to be sent to one client, in order: frames of its own (answers, heartbeats,
/// redeliveries) and runs of messages that still lie in their segment's slab.
///
/// The core fills it, the edge writes it out once a turn, all pieces in one system call.
package struct Outbox {
    /// A stretch of bytes: of a slab, or of the outbox's own.
    private struct Piece {
        var slab: Slab?
        var start: Int
        var end: Int
    }

    private var pieces: [Piece] = []
    /// How many pieces, and how many bytes of the next one, are sent already.
    private var sentPieces = 0
    private var own: OwnBytes?

    package private(set) var byteCount = 0

    package init() {}

    package var isEmpty: Bool { byteCount == 0 }

    /// Appends a run of records straight from their slab.
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
        makeRoom(bytes.count).copyMemory(from: base, byteCount: bytes.count)
    }

    mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Appends a redelivered record with its number of attempts in it.
    mutating func append(redelivery frame: Bytes, attempts: UInt16) {
        let place = makeRoom(frame.count)
        place.copyMemory(from: frame.baseAddress!, byteCount: frame.count)
        MessageFrame.writeAttempts(attempts, to: place)
    }

    /// `OK` ten bytes at a time: what a publisher is answered.
    mutating func appendOK() {
        let place = makeRoom(10)
        place.storeBytes(of: UInt64(6 << 32).bigEndian, as: UInt64.self)
        place.storeBytes(of: UInt16(0x4f4b).bigEndian, toByteOffset: 8, as: UInt16.self)
    }

    private mutating func makeRoom(_ count: Int) -> UnsafeMutableRawPointer {
        byteCount += count
        if own == nil { own = OwnBytes() }
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

    /// How many pieces are still to be sent.
    package var pieceCount: Int { pieces.count - sentPieces }

    /// Fills `slices` with the pieces to send next.
    ///
    /// - Returns: how many it filled. They stay valid until the outbox is changed or gone.
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

    /// Lets go of the first `count` bytes: they are sent.
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

    /// Hands pieces to `body`, one after another, up to `limit` bytes: they are as good as sent.
    ///
    /// - Returns: how many bytes there were.
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

    /// Empties the outbox and gives away what it holds, for a write that is finished later: an outbox
    /// that is added to before it is empty keeps all that was ever in it.
    package mutating func takeAll() -> Outbox {
        let all = self
        self = Outbox()
        return all
    }

    /// A quiet connection holds next to nothing: 10,000 of them are to cost little.
    private mutating func clear() {
        byteCount = 0
        sentPieces = 0
        pieces.removeAll(keepingCapacity: pieces.capacity <= 16)
        if own?.releaseIfLarge() == true { own = nil }
    }
}

/// Bytes that an outbox owns. A class, so that an outbox that is moved aside for a slow write keeps
/// them where they are.
private final class OwnBytes {
    private(set) var base: UnsafeMutableRawPointer
    private(set) var count = 0
    private var capacity = 512

    init() {
        base = .allocate(byteCount: capacity, alignment: 8)
    }

    deinit { base.deallocate() }

    /// - Returns: where the `amount` new bytes begin.
    func grow(by amount: Int) -> UnsafeMutableRawPointer {
        if count + amount > capacity {
            capacity = max(capacity * 2, count + amount)
            let wider = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
            wider.copyMemory(from: base, byteCount: count)
            base.deallocate()
            base = wider
        }
        defer { count += amount }
        return base + count
    }

    /// Starts again at the front.
    ///
    /// - Returns: whether it has grown so that it should rather be let go.
    func releaseIfLarge() -> Bool {
        count = 0
        return capacity > 512
    }
}
