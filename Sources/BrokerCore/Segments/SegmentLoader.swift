import NSQWire

/// Copies records from the message log into a slab, and stores their offsets.
///
/// Usually, records arrive in the order of their indexes. The records of a relocated segment can
/// arrive in another order, or twice.
final class SegmentLoader {
    private let pool: SlabPool
    private(set) var slab: Slab
    private(set) var usedBytes = 0
    private(set) var indexes: [Int] = []
    /// The records that arrived out of order, by index.
    private var unordered: [Int: [UInt8]] = [:]

    init(pool: SlabPool, byteCount: Int) {
        self.pool = pool
        slab = pool.slab(of: byteCount)
    }

    /// Appends consecutive message frames.
    ///
    /// - Parameter firstIndex: the index of the first message in its segment.
    func append(_ frames: Bytes, firstIndex: Int) {
        var offset = 0
        var index = firstIndex
        while offset < frames.count {
            let end = offset + MessageFrame.byteCount(of: frames, at: offset)
            let frame = frames.view(offset..<end)
            if index <= indexes.last ?? -1 || !append(frame, index) {
                unordered[index] = Array(frame)
            }
            offset = end
            index += 1
        }
    }

    /// Appends one message frame.
    ///
    /// - Returns: `true` if the frame was appended; `false` if the slab is full.
    private func append(_ frame: Bytes, _ index: Int) -> Bool {
        let offsets = (indexes.count + 1) * Segment.offsetBytes
        guard usedBytes + frame.count + offsets <= slab.byteCount else { return false }
        (slab.base + usedBytes).copyMemory(from: frame.baseAddress!, byteCount: frame.count)
        (slab.base + slab.byteCount - offsets).storeBytes(of: UInt32(usedBytes), as: UInt32.self)
        usedBytes += frame.count
        indexes.append(index)
        return true
    }

    /// Rewrites the slab so that it includes the records that arrived out of order, at their
    /// positions.
    func insertUnordered() {
        for index in indexes { unordered[index] = nil }
        guard !unordered.isEmpty else { return }
        var all = unordered
        for (position, index) in indexes.enumerated() { all[index] = Array(frame(at: position)) }
        let byteCount = all.values.reduce(0) { $0 + $1.count + Segment.offsetBytes }
        slab = pool.slab(of: byteCount)
        usedBytes = 0
        indexes = []
        for (index, frame) in all.sorted(by: { $0.key < $1.key }) {
            _ = frame.withUnsafeBytes { append($0, index) }
        }
    }

    private func frame(at position: Int) -> Bytes {
        let bytes = Bytes(start: slab.base, count: slab.byteCount)
        let offset = bytes.load(
            fromByteOffset: slab.byteCount - (position + 1) * Segment.offsetBytes, as: UInt32.self)
        let length = MessageFrame.byteCount(of: bytes, at: Int(offset))
        return bytes.view(Int(offset)..<Int(offset) + length)
    }

    /// Returns the index ranges below `count` for which no record has arrived.
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
