import DequeModule
import TallyBasics

/// The segments that one channel still needs.
///
/// Each segment in the table has a segment number, by which deliveries refer to the segment.
final class ChannelSegmentTable {
    private struct Slot {
        var serial: UInt64
        /// The channel's state of the segment; `nil` after the channel has released the segment.
        var segment: ChannelSegment?
    }

    // INVARIANT: slots are in the order of their serial numbers. A slot's segment number is
    // `firstNumber` plus the slot's position, and does not change after recovery. The first slot
    // has a segment.
    private var slots = Deque<Slot>()
    private let account: MemoryAccount?
    private(set) var firstNumber = 0
    /// The segment number of the last finished message. The next FIN usually concerns the same
    /// segment.
    private(set) var lastFinishedNumber = 0

    /// - Parameter account: the account of the memory of the segments' states.
    init(_ account: MemoryAccount? = nil) { self.account = account }

    var numbers: Range<Int> { firstNumber..<firstNumber + slots.count }

    /// The segments that have not been released, in the order of their numbers.
    var all: some Sequence<ChannelSegment> { slots.lazy.compactMap(\.segment) }

    @inline(__always)
    subscript(number: Int) -> ChannelSegment? { slots[number - firstNumber].segment }

    subscript(segment: Segment) -> ChannelSegment? {
        number(serial: segment.serial).flatMap { self[$0] }
    }

    func number(serial: UInt64) -> Int? {
        let index = slots.partitioningIndex { $0.serial >= serial }
        guard index < slots.count, slots[index].serial == serial else { return nil }
        return firstNumber + index
    }

    /// Returns the first segment that has not been released and whose serial number is at least
    /// `serial`.
    func first(serialAtLeast serial: UInt64) -> ChannelSegment? {
        slots[slots.partitioningIndex { $0.serial >= serial }...].lazy.compactMap(\.segment).first
    }

    func setLastFinishedNumber(_ number: Int) { lastFinishedNumber = number }

    /// Adds a segment after all segments of the table.
    ///
    /// - Parameter settledCount: the number of messages that are settled from the start, because the
    ///   topic dispatched them before the channel existed.
    func append(_ segment: Segment, settledCount: Int) {
        segment.addReference()
        slots.append(
            Slot(
                serial: segment.serial,
                segment: ChannelSegment(segment, settledCount: settledCount, account)))
    }

    /// Adds a recovered segment. A relocated segment can be older than the segments added before
    /// it.
    ///
    /// The segment numbers of all later segments increase by one.
    func insertRecovered(_ segment: Segment) {
        segment.addReference()
        let position = slots.partitioningIndex { $0.serial > segment.serial }
        slots.insert(
            Slot(
                serial: segment.serial, segment: ChannelSegment(segment, settledCount: 0, account)),
            at: position)
    }

    /// Records that `count` more messages of a segment are settled: finished, or no longer needed
    /// for another reason.
    ///
    /// - Returns: the segment if the channel no longer needs it; the caller releases it.
    func settle(_ count: Int, in number: Int) -> Segment? {
        self[number]!.settle(count)
        return removeIfDone(number)
    }

    /// Removes a segment if the channel no longer needs it.
    ///
    /// - Returns: the removed segment, which the caller releases; `nil` if the channel still needs
    ///   it.
    func removeIfDone(_ number: Int) -> Segment? {
        guard let channelSegment = self[number], channelSegment.isDone else { return nil }
        slots[number - firstNumber].segment = nil
        while slots.first.map({ $0.segment == nil }) == true {
            slots.removeFirst()
            firstNumber += 1
        }
        return channelSegment.segment
    }

    /// Removes all segments.
    ///
    /// - Returns: the segments, which the caller releases.
    func removeAll() -> [Segment] {
        defer {
            firstNumber += slots.count
            slots.removeAll()
        }
        return all.map(\.segment)
    }
}
