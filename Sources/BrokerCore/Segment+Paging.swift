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

    /// Takes note of records that the ledger has, behind those noted before.
    func recover(_ indexes: Range<Int>, byteCount: Int) {
        count = max(count, indexes.upperBound)
        usedBytes += byteCount
        writtenCount = count
    }

    /// Reads the records back.
    ///
    /// - Returns: the indexes of those that are missing, ascending.
    func pageIn(from ledger: any Ledger, _ pool: SlabPool) throws(LedgerError) -> [Range<Int>] {
        let loader = SegmentLoader(
            slab: pool.slab(of: usedBytes + count * Self.offsetBytes))
        try ledger.load(self) { frames, first in loader.take(frames, first) }
        let gaps = loader.gaps(below: count)
        slab = loader.slab
        remaining = gaps.isEmpty ? nil : loader.indexes.map { UInt16($0) }
        usedBytes = loader.usedBytes
        return gaps
    }
}

/// Puts records that are read back into a slab, and notes where each begins.
private final class SegmentLoader {
    let slab: Slab
    private(set) var usedBytes = 0
    private(set) var indexes: [Int] = []

    init(slab: Slab) { self.slab = slab }

    /// Takes a run of whole frames, the first of them with the index `first`.
    func take(_ frames: Bytes, _ first: Int) {
        var offset = 0
        var index = first
        while offset < frames.count {
            let length = MessageFrame.byteCount(of: frames, at: offset)
            let end = usedBytes + length + (indexes.count + 1) * Segment.offsetBytes
            guard index > indexes.last ?? -1, end <= slab.byteCount else { return }
            (slab.base + usedBytes).copyMemory(
                from: frames.baseAddress! + offset, byteCount: length)
            (slab.base + slab.byteCount - (indexes.count + 1) * Segment.offsetBytes)
                .storeBytes(of: UInt32(usedBytes), as: UInt32.self)
            usedBytes += length
            indexes.append(index)
            offset += length
            index += 1
        }
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
