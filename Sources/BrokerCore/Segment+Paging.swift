import NSQWire

/// How a segment's records leave memory and come back, and how one comes into being whose records
/// are in the ledger only.
extension Segment {
    /// Takes back the records from `count` on, which the ledger refused.
    func truncate(to count: Int) {
        guard count < self.count else { return }
        usedBytes = byteRange(of: 0..<count).upperBound
        self.count = count
    }

    /// Lets go of the memory; the ledger has the records.
    func pageOut(_ pool: SlabPool) {
        precondition(isSealed && writtenCount == count, "only what the ledger has can be let go")
        slab = pool.none
        remaining = nil
    }

    /// Takes note of records that the ledger has: behind those noted before, or in a gap among
    /// them.
    ///
    /// - Returns: those that were not known.
    func recover(_ indexes: Range<Int>, byteCount: Int) -> [Range<Int>] {
        var found = missing.map { $0.clamped(to: indexes) }.filter { !$0.isEmpty }
        missing = missing.flatMap { gap in
            [
                gap.lowerBound..<max(gap.lowerBound, min(gap.upperBound, indexes.lowerBound)),
                min(gap.upperBound, max(gap.lowerBound, indexes.upperBound))..<gap.upperBound,
            ]
        }.filter { !$0.isEmpty }
        if indexes.lowerBound > count { missing.append(count..<indexes.lowerBound) }
        if indexes.upperBound > count {
            found.append(max(count, indexes.lowerBound)..<indexes.upperBound)
            count = indexes.upperBound
        }
        if !found.isEmpty { usedBytes += byteCount }
        writtenCount = count
        return found
    }

    /// Reads the records back.
    ///
    /// - Returns: the indexes of those that are missing, ascending.
    func pageIn(from ledger: any Ledger, _ pool: SlabPool) throws(LedgerError) -> [Range<Int>] {
        let loader = SegmentLoader(pool: pool, byteCount: usedBytes + count * Self.offsetBytes)
        try ledger.load(self) { frames, first in loader.take(frames, first) }
        loader.finish()
        let gaps = loader.gaps(below: count)
        slab = loader.slab
        remaining = gaps.isEmpty ? nil : loader.indexes.map { UInt16($0) }
        usedBytes = loader.usedBytes
        return gaps
    }
}

/// Puts records that are read back into a slab, and notes where each begins. They come in order as
/// a rule; those of a segment that was moved may not, nor but once.
private final class SegmentLoader {
    private let pool: SlabPool
    private(set) var slab: Slab
    private(set) var usedBytes = 0
    private(set) var indexes: [Int] = []
    /// Those that did not come in order.
    private var stray: [Int: [UInt8]] = [:]

    init(pool: SlabPool, byteCount: Int) {
        self.pool = pool
        slab = pool.slab(of: byteCount)
    }

    /// Takes a run of whole frames, the first of them with the index `first`.
    func take(_ frames: Bytes, _ first: Int) {
        var offset = 0
        var index = first
        while offset < frames.count {
            let end = offset + MessageFrame.byteCount(of: frames, at: offset)
            let frame = frames.view(offset..<end)
            if index <= indexes.last ?? -1 || !append(frame, index) { stray[index] = Array(frame) }
            offset = end
            index += 1
        }
    }

    /// - Returns: `false`, with nothing done, if it has no room.
    private func append(_ frame: Bytes, _ index: Int) -> Bool {
        let offsets = (indexes.count + 1) * Segment.offsetBytes
        guard usedBytes + frame.count + offsets <= slab.byteCount else { return false }
        (slab.base + usedBytes).copyMemory(from: frame.baseAddress!, byteCount: frame.count)
        (slab.base + slab.byteCount - offsets).storeBytes(of: UInt32(usedBytes), as: UInt32.self)
        usedBytes += frame.count
        indexes.append(index)
        return true
    }

    /// Puts those that came out of order into their places.
    func finish() {
        for index in indexes { stray[index] = nil }
        guard !stray.isEmpty else { return }
        var all = stray
        for (place, index) in indexes.enumerated() { all[index] = Array(frame(at: place)) }
        let byteCount = all.values.reduce(0) { $0 + $1.count + Segment.offsetBytes }
        slab = pool.slab(of: byteCount)
        usedBytes = 0
        indexes = []
        for (index, frame) in all.sorted(by: { $0.key < $1.key }) {
            _ = frame.withUnsafeBytes { append($0, index) }
        }
    }

    private func frame(at place: Int) -> Bytes {
        let bytes = Bytes(start: slab.base, count: slab.byteCount)
        let offset = bytes.load(
            fromByteOffset: slab.byteCount - (place + 1) * Segment.offsetBytes, as: UInt32.self)
        let length = MessageFrame.byteCount(of: bytes, at: Int(offset))
        return bytes.view(Int(offset)..<Int(offset) + length)
    }

    func gaps(below count: Int) -> [Range<Int>] {
        guard indexes.count < count else { return [] }
        var gaps: [Range<Int>] = []
        var next = 0
        for index in indexes + [count] {
            if index > next { gaps.append(next..<index) }
            next = index + 1
        }
        return gaps
    }
}
