import NSQWire
import TallyBasics

/// A block of a topic's messages in one slab, each in its final wire form. All channels of the
/// topic read the same copy.
///
/// Message frames (records) are stored back to back from the start of the slab, so that consecutive
/// records are one byte range to write. The offsets of the records are stored from the end of the
/// slab downwards. A message's ID is its location: 48 bits for the segment's serial number and 16
/// bits for the record's index. FIN, REQ and TOUCH therefore need no lookup table.
package final class Segment {
    /// The segment's serial number. It is the wall clock time of the creation in units of 2^16
    /// nanoseconds, increased if necessary to exceed all earlier serial numbers. Message IDs
    /// therefore ascend within a broker and do not repeat after a restart.
    package let serial: UInt64

    /// The hex digits 1 to 8 (`idStart`) and 9 to 12 (`idMiddle`) of the segment's message IDs, in
    /// memory byte order.
    let idStart: UInt64
    let idMiddle: UInt32

    /// The ordinal of the segment's first message. Ordinals number the topic's messages that are
    /// not deferred.
    package let firstOrdinal: Int

    /// `true` if the messages are deferred. Deferred messages are delivered individually and have
    /// no ordinals.
    package let isDeferred: Bool

    private(set) var slab: Slab
    /// The number of appended records, including those that were removed later.
    package private(set) var count = 0
    /// The size of the records in the slab, without their offsets, in bytes.
    package private(set) var usedBytes = 0

    /// The number of leading records that are stored in the message log.
    private(set) var durableCount = 0

    /// `true` if no more records are appended.
    private(set) var isSealed = false

    /// The number of channels that still need records of the segment.
    private(set) var referenceCount = 0

    /// The number of deferred messages in the segment that the topic has not dispatched yet.
    private(set) var undispatchedCount = 0

    /// The records that are left after a compaction or a loss; `nil` if no record was removed.
    private var remaining: RemainingMessages?

    /// The index ranges below `count` whose records recovery has not found yet, in ascending order.
    /// These records are lost, or were relocated and follow later in the log.
    private(set) var missing: [Range<Int>] = []

    /// The maximum number of records in one segment: a message ID has 16 bits for the index.
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

    /// Returns the number of slab bytes that one message needs, including its offset.
    static func byteCount(bodyBytes: Int) -> Int {
        MessageFrame.byteCount(bodyBytes: bodyBytes) + offsetBytes
    }

    /// The ordinal after the segment's last message.
    var endOrdinal: Int { firstOrdinal + count }

    var ordinals: Range<Int> { firstOrdinal..<endOrdinal }

    /// `true` if the records are in memory.
    var isResident: Bool { slab.byteCount > 0 }

    /// `true` if the message log contains all records.
    var isDurable: Bool { durableCount == count }

    /// The size of the segment's memory, in bytes.
    var slabBytes: Int { slab.byteCount }

    /// The size of the memory for the records after ``pageIn(from:_:)``, in bytes.
    var loadedBytes: Int { SlabPool.slabByteCount(for: usedBytes + count * Self.offsetBytes) }

    // MARK: Bookkeeping

    func seal() { isSealed = true }

    func addReference() { referenceCount += 1 }

    func removeReference() { referenceCount -= 1 }

    /// Counts one more deferred message that the topic has not dispatched yet.
    func addUndispatched() { undispatchedCount += 1 }

    func removeUndispatched() { undispatchedCount -= 1 }

    /// Marks all records as contained in the message log.
    func markDurable() { durableCount = count }

    /// Removes the records that the message log has failed to write.
    func removeUndurable() {
        guard durableCount < count else { return }
        usedBytes = byteRange(of: 0..<durableCount).upperBound
        count = durableCount
    }

    // MARK: Appending

    /// Appends one message.
    ///
    /// - Returns: `true` if the message was appended; `false` if the slab is full.
    @discardableResult
    func append(_ body: Bytes, timestampNanoseconds: Int64) -> Bool {
        guard hasCapacity(bodyBytes: body.count, usedBytes: usedBytes, count: count) else {
            return false
        }
        write(
            body.baseAddress!, bodyBytes: body.count, at: usedBytes, index: count,
            timestampNanoseconds: timestampNanoseconds)
        usedBytes += MessageFrame.byteCount(bodyBytes: body.count)
        count += 1
        return true
    }

    /// Appends messages from an MPUB body, whose sizes have been checked, until the slab is full.
    ///
    /// - Parameters:
    ///   - batch: the body, which contains each message after its size in four bytes.
    ///   - offset: the byte offset of the next message in `batch`; advanced past the appended
    ///     messages.
    ///   - left: the number of messages to append; decreased by the number of appended messages.
    func append(
        from batch: Bytes, at offset: inout Int, left: inout Int, timestampNanoseconds: Int64
    ) {
        var used = usedBytes
        var index = count
        while left > 0 {
            let size = Int(batch.bigEndian(at: offset, as: Int32.self))
            guard hasCapacity(bodyBytes: size, usedBytes: used, count: index) else { break }
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

    /// Returns `true` if the slab has space for one more message after `count` records that take
    /// `usedBytes` bytes.
    @inline(__always)
    private func hasCapacity(bodyBytes: Int, usedBytes: Int, count: Int) -> Bool {
        usedBytes + MessageFrame.byteCount(bodyBytes: bodyBytes) + (count + 1) * Self.offsetBytes
            <= slab.byteCount && count < Self.maxCount
    }

    @inline(__always)
    private func write(
        _ body: UnsafeRawPointer, bodyBytes: Int, at place: Int, index: Int,
        timestampNanoseconds: Int64
    ) {
        let frame = slab.base + place
        // The last four of the eight digits are in the upper half of the number.
        let lastDigits = Hex.digits(of: UInt32(truncatingIfNeeded: index)) & 0xffff_ffff_0000_0000
        MessageFrame.writeHeader(
            to: frame, bodyBytes: bodyBytes, timestampNanoseconds: timestampNanoseconds,
            id: (idStart, UInt64(idMiddle) | lastDigits))
        (frame + MessageFrame.bodyOffset).copyMemory(from: body, byteCount: bodyBytes)
        offsetAddress(index).storeBytes(of: UInt32(truncatingIfNeeded: place), as: UInt32.self)
    }

    private func offsetAddress(_ position: Int) -> UnsafeMutableRawPointer {
        slab.base + slab.byteCount - (position + 1) * Self.offsetBytes
    }

    // MARK: Reading

    /// Returns the byte range in the slab of the records `indexes`, none of which may have been
    /// removed.
    func byteRange(of indexes: Range<Int>) -> Range<Int> {
        guard let remaining else {
            return offset(of: indexes.lowerBound)..<offset(of: indexes.upperBound)
        }
        let first = remaining.position(of: indexes.lowerBound)
        return offset(of: first)..<offset(of: first + indexes.count)
    }

    /// Returns the bytes of the records `indexes`, none of which may have been removed.
    package func frames(of indexes: Range<Int>) -> Bytes {
        Bytes(start: slab.base, count: slab.byteCount).view(byteRange(of: indexes))
    }

    /// Returns the end of the longest prefix of `indexes` whose records take at most `byteCount`
    /// bytes. The prefix contains at least one record.
    package func end(of indexes: Range<Int>, within byteCount: Int) -> Int {
        guard byteRange(of: indexes).count > byteCount else { return indexes.upperBound }
        let longerEnds = indexes.lowerBound + 2..<indexes.upperBound + 1
        return longerEnds.partitioningIndex {
            byteRange(of: indexes.lowerBound..<$0).count > byteCount
        } - 1
    }

    /// Returns the frame of one record, with an attempt count of 1.
    func frame(at index: Int) -> Bytes {
        let position = remaining?.position(of: index) ?? index
        let start = offset(of: position)
        return Bytes(start: slab.base + start, count: offset(of: position + 1) - start)
    }

    private func offset(of position: Int) -> Int {
        guard position < remaining?.count ?? count else { return usedBytes }
        return Int(offsetAddress(position).load(as: UInt32.self))
    }

    /// Returns `true` if the record was not removed.
    func contains(_ index: Int) -> Bool { remaining?.contains(index) ?? true }

    /// Returns the range of lost records that starts at `index`; `nil` if the record at `index` is
    /// not lost.
    func gap(at index: Int) -> Range<Int>? { remaining?.gap(at: index, below: count) }

    /// Returns the index after the consecutive records that start at `index` and were not removed.
    func endOfRun(from index: Int) -> Int { remaining?.endOfRun(from: index) ?? count }

    // MARK: Compaction

    /// Copies the records that are still needed to a smaller slab, so that one unfinished message
    /// does not keep megabytes in memory. The message IDs do not change.
    ///
    /// - Parameter needed: the ascending indexes of the needed records, none of which may have been
    ///   removed.
    /// - Returns: `false` if the copy would save less than three quarters of the memory, and is not
    ///   made.
    func compact(to needed: [Int], pool: SlabPool) -> Bool {
        precondition(isSealed, "a segment that grows is not compacted")
        let frames = needed.map { frame(at: $0) }
        let byteCount = frames.reduce(0) { $0 + $1.count + Self.offsetBytes }
        guard SlabPool.slabByteCount(for: byteCount) <= slabBytes / 4 else { return false }
        let old = slab
        slab = pool.slab(of: byteCount)
        usedBytes = 0
        for (position, frame) in frames.enumerated() {
            (slab.base + usedBytes).copyMemory(from: frame.baseAddress!, byteCount: frame.count)
            offsetAddress(position).storeBytes(of: UInt32(usedBytes), as: UInt32.self)
            usedBytes += frame.count
        }
        remaining = RemainingMessages(needed)
        withExtendedLifetime(old) {}
        return true
    }

    // MARK: Paging

    /// Releases the memory of a segment whose records are in the message log.
    func pageOut(_ pool: SlabPool) {
        precondition(isSealed && isDurable, "only records in the message log are paged out")
        slab = pool.none
        remaining = nil
    }

    /// Reads the records from the message log into memory.
    ///
    /// - Returns: the index ranges of lost records, in ascending order.
    func pageIn(
        from log: any MessageLog, _ pool: SlabPool
    ) throws(MessageLogError) -> [Range<Int>] {
        let loader = SegmentLoader(pool: pool, byteCount: usedBytes + count * Self.offsetBytes)
        try log.readMessages(of: self) { frames, first in
            loader.append(frames, firstIndex: first)
        }
        loader.insertUnordered()
        let gaps = loader.gaps(below: count)
        slab = loader.slab
        remaining = gaps.isEmpty ? nil : RemainingMessages(loader.indexes)
        usedBytes = loader.usedBytes
        return gaps
    }

    // MARK: Recovery

    /// Adds records that recovery has found in the message log, either after the known records or
    /// in a gap between them.
    ///
    /// - Parameter byteCount: the size of the records in wire form, in bytes.
    /// - Returns: the index ranges that were not known before.
    func recover(_ indexes: Range<Int>, byteCount: Int) -> [Range<Int>] {
        var found = missing.remove(indexes)
        if indexes.lowerBound > count { missing.append(count..<indexes.lowerBound) }
        if indexes.upperBound > count {
            found.append(max(count, indexes.lowerBound)..<indexes.upperBound)
            count = indexes.upperBound
        }
        if !found.isEmpty { usedBytes += byteCount }
        durableCount = count
        return found
    }

    /// Returns `true` if recovery has not found the record `index` yet.
    func isMissing(_ index: Int) -> Bool {
        let next = missing.partitioningIndex { $0.upperBound > index }
        return next < missing.count && missing[next].contains(index)
    }

    /// Ends recovery: records that were not found are lost. ``pageIn(from:_:)`` reports the lost
    /// records.
    func endRecovery() { missing = [] }
}
