import NSQWire

/// A slab of a topic's messages, each in its final wire form, held once however many channels
/// read it.
///
/// Records lie one behind the other from the slab's start, so that a run of them is one piece to
/// write. Where each begins is noted from the slab's end downwards. A message's ID says where it
/// lies: 48 bits name the segment, 16 bits the record; so FIN, REQ and TOUCH need no table.
package final class Segment {
    /// A segment's serial is the wall clock of its opening in units of 2^16 ns, moved up where two
    /// would be equal: IDs grow within a broker and do not come again after a restart.
    package let serial: UInt64

    /// The first eight and the next four hex digits of its messages' IDs, as they lie in memory.
    let idStart: UInt64
    let idMiddle: UInt32

    /// Where its first message stands among all of the topic's that are not deferred.
    package let firstOrdinal: Int

    /// It holds deferred messages, which are handed out one by one and have no ordinals.
    package let isDeferred: Bool

    var slab: Slab
    package internal(set) var count = 0
    /// What its records take, without their offsets.
    package internal(set) var usedBytes = 0

    /// How many of its records the ledger has.
    var writtenCount = 0

    /// No record is added any more.
    private(set) var isSealed = false

    /// How many channels still need something in it.
    var claims = 0

    /// How many of its messages, all of them deferred, no channel has yet.
    var heldCount = 0

    /// The records that are left, ascending, once it was compacted; `nil` as long as all are there.
    var remaining: [UInt16]?

    /// Of those below `count`, the records that recovery has not come upon yet, ascending: they are
    /// lost, or were moved and come further back.
    var missing: [Range<Int>] = []

    package static let maxCount = 1 << 16
    static let offsetBytes = 4

    init(serial: UInt64, firstOrdinal: Int, isDeferred: Bool, slab: Slab) {
        self.serial = serial
        self.firstOrdinal = firstOrdinal
        self.isDeferred = isDeferred
        self.slab = slab
        idStart = Hex.digits(of: UInt32(truncatingIfNeeded: serial >> 16))
        idMiddle = UInt32(
            truncatingIfNeeded: Hex.digits(of: UInt32(truncatingIfNeeded: serial << 16)))
    }

    /// The slab bytes that one message takes.
    static func byteCount(bodyBytes: Int) -> Int {
        MessageFrame.byteCount(bodyBytes: bodyBytes) + offsetBytes
    }

    /// Where the next segment's messages begin.
    var endOrdinal: Int { firstOrdinal + count }

    func seal() { isSealed = true }

    /// Its records are in memory.
    var isResident: Bool { slab.byteCount > 0 }

    // MARK: Writing

    /// Appends one message.
    ///
    /// - Returns: `false`, with nothing done, if it has no room.
    @discardableResult
    func append(_ body: Bytes, timestampNanoseconds: Int64) -> Bool {
        guard hasRoom(bodyBytes: body.count, usedBytes: usedBytes, count: count) else {
            return false
        }
        write(
            body.baseAddress!, bodyBytes: body.count, at: usedBytes, index: count,
            timestampNanoseconds: timestampNanoseconds)
        usedBytes += MessageFrame.byteCount(bodyBytes: body.count)
        count += 1
        return true
    }

    /// Appends messages of an MPUB's body, whose sizes have been checked, while there is room.
    ///
    /// - Parameters:
    ///   - batch: at `offset`, each message with its size before it.
    ///   - left: how many are still to come; counted down.
    func append(
        from batch: Bytes, at offset: inout Int, left: inout Int, timestampNanoseconds: Int64
    ) {
        var used = usedBytes
        var index = count
        while left > 0 {
            let size = Int(batch.bigEndian(at: offset, as: Int32.self))
            guard hasRoom(bodyBytes: size, usedBytes: used, count: index) else { break }
            write(
                batch.baseAddress! + offset + 4, bodyBytes: size, at: used, index: index,
                timestampNanoseconds: timestampNanoseconds)
            used += MessageFrame.byteCount(bodyBytes: size)
            offset += 4 + size
            index += 1
            left -= 1
        }
        usedBytes = used
        count = index
    }

    @inline(__always)
    private func hasRoom(bodyBytes: Int, usedBytes: Int, count: Int) -> Bool {
        usedBytes + MessageFrame.byteCount(bodyBytes: bodyBytes) + (count + 1) * Self.offsetBytes
            <= slab.byteCount && count < Self.maxCount
    }

    @inline(__always)
    private func write(
        _ body: UnsafeRawPointer, bodyBytes: Int, at place: Int, index: Int,
        timestampNanoseconds: Int64
    ) {
        let frame = slab.base + place
        // The last four digits stand in the upper half.
        let lastDigits = Hex.digits(of: UInt32(truncatingIfNeeded: index)) & 0xffff_ffff_0000_0000
        MessageFrame.writeHeader(
            to: frame, bodyBytes: bodyBytes, timestampNanoseconds: timestampNanoseconds,
            id: (idStart, UInt64(idMiddle) | lastDigits))
        (frame + MessageFrame.bodyOffset).copyMemory(from: body, byteCount: bodyBytes)
        offsetPlace(index).storeBytes(of: UInt32(truncatingIfNeeded: place), as: UInt32.self)
    }

    private func offsetPlace(_ index: Int) -> UnsafeMutableRawPointer {
        slab.base + slab.byteCount - (index + 1) * Self.offsetBytes
    }

    // MARK: Reading

    /// Where the records `indices` lie in the slab; all of them are there.
    func byteRange(of indices: Range<Int>) -> Range<Int> {
        guard let remaining else {
            return offset(of: indices.lowerBound)..<offset(of: indices.upperBound)
        }
        let first = place(of: indices.lowerBound, among: remaining)
        return offset(of: first)..<offset(of: first + indices.count)
    }

    /// The bytes of the records `indices`, all of which are there.
    package func frames(of indices: Range<Int>) -> Bytes {
        Bytes(start: slab.base, count: slab.byteCount).view(byteRange(of: indices))
    }

    /// How far from `indices`' start on the records come to `byteCount`; by one record at least.
    package func end(of indices: Range<Int>, within byteCount: Int) -> Int {
        var low = indices.lowerBound + 1
        var high = indices.upperBound
        guard byteRange(of: indices).count > byteCount else { return high }
        while low < high {
            let middle = (low + high + 1) / 2
            if byteRange(of: indices.lowerBound..<middle).count <= byteCount {
                low = middle
            } else {
                high = middle - 1
            }
        }
        return low
    }

    /// The record's whole frame, with `attempts` 1 in it.
    func frame(at index: Int) -> Bytes {
        let place = remaining.map { self.place(of: index, among: $0) } ?? index
        let start = offset(of: place)
        return Bytes(start: slab.base + start, count: offset(of: place + 1) - start)
    }

    private func offset(of place: Int) -> Int {
        guard place < remaining?.count ?? count else { return usedBytes }
        return Int(offsetPlace(place).load(as: UInt32.self))
    }

    /// The record is there: it was not lost to a damage.
    func holds(_ index: Int) -> Bool {
        guard let remaining else { return true }
        let place = firstPlace(from: index, among: remaining)
        return place < remaining.count && remaining[place] == index
    }

    /// The lost records from `index` on.
    func gap(at index: Int) -> Range<Int>? {
        guard let remaining, !holds(index) else { return nil }
        let next = firstPlace(from: index, among: remaining)
        return index..<(next < remaining.count ? Int(remaining[next]) : count)
    }

    /// Where the records that are there, from `index` on, have their first gap.
    func endOfRun(from index: Int) -> Int {
        guard let remaining else { return count }
        var place = firstPlace(from: index, among: remaining)
        var end = index
        while place < remaining.count, remaining[place] == end {
            place += 1
            end += 1
        }
        return end
    }

    private func place(of index: Int, among remaining: [UInt16]) -> Int {
        let place = firstPlace(from: index, among: remaining)
        precondition(
            place < remaining.count && remaining[place] == index,
            "a needed record is never let go")
        return place
    }

    private func firstPlace(from index: Int, among remaining: [UInt16]) -> Int {
        var low = 0
        var high = remaining.count
        while low < high {
            let middle = (low + high) / 2
            if remaining[middle] < index { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: Compacting

    /// Moves the records that are still needed to a slab of their own size, so that one message
    /// that nobody finishes does not hold megabytes. Their IDs stay.
    ///
    /// - Parameter needed: ascending, and all of them still there.
    /// - Returns: `false`, with nothing done, if that would gain little.
    func compact(to needed: [Int], pool: SlabPool) -> Bool {
        precondition(isSealed, "a segment that grows is not compacted")
        let frames = needed.map { frame(at: $0) }
        let byteCount = frames.reduce(0) { $0 + $1.count + Self.offsetBytes }
        guard SlabPool.slabByteCount(for: byteCount) <= slabBytes / 4 else { return false }
        let old = slab
        slab = pool.slab(of: byteCount)
        usedBytes = 0
        for (place, frame) in frames.enumerated() {
            (slab.base + usedBytes).copyMemory(from: frame.baseAddress!, byteCount: frame.count)
            offsetPlace(place).storeBytes(of: UInt32(usedBytes), as: UInt32.self)
            usedBytes += frame.count
        }
        remaining = needed.map(UInt16.init)
        withExtendedLifetime(old) {}
        return true
    }

    /// Bytes of memory it holds.
    var slabBytes: Int { slab.byteCount }
}
