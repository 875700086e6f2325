import DequeModule
import TallyBasics

/// The segments of one topic, including the two tails to which messages are appended.
final class TopicSegments {
    // INVARIANT: the segments are ascending by serial number.
    private(set) var all = Deque<Segment>()
    /// The segment to which messages are appended; `nil` if the next message needs a new segment.
    private(set) var tail: Segment?
    /// The segment to which deferred messages are appended; `nil` if the next deferred message needs
    /// a new segment.
    private(set) var deferredTail: Segment?
    /// The segments to which messages are appended, in the order of their serial numbers.
    var tails: [Segment] {
        [tail, deferredTail].compactMap { $0 }.sorted { $0.serial < $1.serial }
    }
    /// The messages whose records recovery has found several times, by the serial number of their
    /// segment.
    private var repeated: [UInt64: (segment: Segment, indexes: Set<Int>)] = [:]
    /// The size of the next slab, as an index into ``SlabPool/sizes``.
    private var nextSizeIndex = 0
    /// The topic's stored bytes at the time of the last maintenance.
    private var earlierStoredBytes = 0

    var nextSlabBytes: Int { SlabPool.sizes[nextSizeIndex] }

    func contains(_ segment: Segment) -> Bool { self[serial: segment.serial] === segment }

    /// The segment with this serial number.
    subscript(serial serial: UInt64) -> Segment? {
        let position = position(of: serial)
        guard position < all.count, all[position].serial == serial else { return nil }
        return all[position]
    }

    /// Returns the first segment whose serial number is at least `serial`.
    func first(serialAtLeast serial: UInt64) -> Segment? {
        let position = position(of: serial)
        return position < all.count ? all[position] : nil
    }

    /// Returns the position of the first segment whose serial number is at least `serial`.
    private func position(of serial: UInt64) -> Int {
        all.partitioningIndex { $0.serial >= serial }
    }

    /// Opens a new tail segment with space for a message body of `bodyBytes`. The slab of the next
    /// segment is one size larger.
    func open(
        forBodyBytes bodyBytes: Int, isDeferred: Bool, firstOrdinal: Int, _ context: BrokerContext
    ) -> Segment {
        let leastBytes = Segment.byteCount(bodyBytes: bodyBytes)
        let slab = context.slabs.slab(of: max(nextSlabBytes, leastBytes))
        nextSizeIndex = min(nextSizeIndex + 1, SlabPool.sizes.count - 1)
        let segment = Segment(
            serial: context.nextSerial(), firstOrdinal: firstOrdinal, isDeferred: isDeferred,
            slab: slab)
        all.append(segment)
        if isDeferred { deferredTail = segment } else { tail = segment }
        return segment
    }

    /// Ends the appending of messages to the segment if it is a tail.
    func closeTail(_ segment: Segment) {
        if segment === tail { tail = nil }
        if segment === deferredTail { deferredTail = nil }
    }

    func remove(_ segment: Segment) {
        let position = position(of: segment.serial)
        if position < all.count, all[position] === segment { all.remove(at: position) }
    }

    func removeAll() {
        all.removeAll()
        tail = nil
        deferredTail = nil
    }

    /// Sets the size of the next slab according to the messages since the last call. Without this, a
    /// thousand topics would each keep a slab of full size after a burst of messages.
    ///
    /// - Parameter storedBytes: the size of all messages ever published to the topic, in bytes.
    /// - Returns: the size of the messages published since the last call, in bytes.
    func adaptSlabSize(storedBytes: Int) -> Int {
        let recentBytes = storedBytes - earlierStoredBytes
        earlierStoredBytes = storedBytes
        nextSizeIndex = SlabPool.sizes.firstIndex { $0 >= recentBytes } ?? SlabPool.sizes.count - 1
        return recentBytes
    }

    /// Returns the segment of recovered messages, and creates it if necessary.
    ///
    /// - Returns: the segment, and `true` if it was created.
    func recovered(
        _ messages: RecoveredMessages, _ slabs: SlabPool
    ) -> (segment: Segment, isNew: Bool) {
        let serial = messages.run.serial
        if let known = self[serial: serial] { return (known, false) }
        let segment = Segment(
            serial: serial, firstOrdinal: messages.firstOrdinal, isDeferred: messages.isDeferred,
            slab: slabs.none)
        all.insert(segment, at: position(of: serial))
        return (segment, true)
    }

    /// Stores that recovery has found these messages of a segment another time.
    func addRepeated(_ indexes: some Sequence<Int>, of segment: Segment) {
        repeated[segment.serial, default: (segment, [])].indexes.formUnion(indexes)
    }

    /// Removes and returns the messages that recovery has found several times, in the order of their
    /// segments.
    func removeRepeated() -> [(segment: Segment, indexes: [Int])] {
        defer { repeated = [:] }
        return repeated.values.sorted { $0.segment.serial < $1.segment.serial }
            .map { ($0.segment, $0.indexes.sorted()) }
    }
}
