import DequeModule
import TallyBasics

/// The position of a channel in its topic's message stream.
final class ChannelCursor {
    /// The ordinals of the messages that the channel has not delivered yet. Usually there is a
    /// single range, which ends at the last dispatched message; messages that a full ephemeral
    /// channel discarded leave gaps.
    private(set) var ahead = Deque<Range<Int>>()
    /// The first range of ``ahead``, which must not be empty.
    var firstRange: Range<Int> { ahead[0] }

    private var segmentNumber = 0
    private var memory: AccountedMemory

    /// - Parameter account: the account of the memory of ``ahead``.
    init(_ account: MemoryAccount? = nil) { memory = AccountedMemory(account, .deliveries) }

    /// The number of accepted messages since the last restart of the cursor. A requeued message
    /// stores this count as its position in the queue.
    private(set) var acceptedCount: Int64 = 0
    /// The number of accepted messages that the cursor has passed.
    private(set) var passedCount: Int64 = 0

    /// The number of messages ahead of the cursor.
    var depth: Int { Int(acceptedCount - passedCount) }

    func append(_ ordinals: Range<Int>) {
        acceptedCount += Int64(ordinals.count)
        if let last = ahead.indices.last, ahead[last].upperBound == ordinals.lowerBound {
            ahead[last] = ahead[last].lowerBound..<ordinals.upperBound
        } else {
            ahead.append(ordinals)
            accountRanges()
        }
    }

    /// Advances the cursor to `ordinal`, which is in the first range or at its end.
    func advance(to ordinal: Int) {
        let range = ahead[0]
        passedCount += Int64(ordinal - range.lowerBound)
        if ordinal == range.upperBound {
            ahead.removeFirst()
            accountRanges()
        } else {
            ahead[0] = ordinal..<range.upperBound
        }
    }

    /// Removes one message that the channel does not deliver, and counts it as passed.
    ///
    /// - Returns: `false` if the message is not ahead of the cursor.
    func skip(_ ordinal: Int) -> Bool {
        guard !ahead.remove(ordinal..<ordinal + 1).isEmpty else { return false }
        passedCount += 1
        accountRanges()
        return true
    }

    /// Updates the account with the memory of ``ahead``. A few ranges count as no memory; only
    /// skipped messages can separate many ranges.
    private func accountRanges() {
        let bytes = ahead.count * MemoryLayout<Range<Int>>.stride
        memory.set(bytes < Self.leastAccountedBytes ? 0 : bytes)
    }

    private static let leastAccountedBytes = 1024

    // MARK: Searching

    /// Returns `true` if the message is ahead of the cursor.
    func isAhead(_ ordinal: Int) -> Bool { firstAhead(in: ordinal..<ordinal + 1) != nil }

    /// Returns the ordinal of the first message in `ordinals` that is ahead of the cursor.
    func firstAhead(in ordinals: Range<Int>) -> Int? {
        let next = ahead.partitioningIndex { $0.upperBound > ordinals.lowerBound }
        guard next < ahead.count else { return nil }
        let first = max(ahead[next].lowerBound, ordinals.lowerBound)
        return ordinals.contains(first) ? first : nil
    }

    /// Returns the messages in `ordinals` that are ahead of the cursor.
    func ahead(in ordinals: Range<Int>) -> [Range<Int>] {
        ahead[ahead.partitioningIndex { $0.upperBound > ordinals.lowerBound }...]
            .prefix { $0.lowerBound < ordinals.upperBound }
            .map { $0.clamped(to: ordinals) }
    }

    // MARK: Segments

    /// Returns the segment of the first message ahead of the cursor, with the segment's number in
    /// `table`; `nil` if no segment contains the message. After damage to the message log, recovery
    /// may have found the record of the message's dispatch but not the message's segment.
    func locate(in table: ChannelSegmentTable) -> (number: Int, segment: ChannelSegment)? {
        let start = max(segmentNumber, table.firstNumber)
        // After damage, an earlier segment can contain later messages.
        guard
            let number = locate(from: start, in: table)
                ?? locate(from: table.firstNumber, in: table)
        else { return nil }
        segmentNumber = number
        return (number, table[number]!)
    }

    @inline(__always)
    private func locate(from start: Int, in table: ChannelSegmentTable) -> Int? {
        let ordinal = ahead[0].lowerBound
        var number = start
        while number < table.numbers.upperBound {
            if let segment = table[number]?.segment, !segment.isDeferred,
                segment.ordinals.contains(ordinal)
            {
                return number
            }
            number += 1
        }
        return nil
    }

    /// Removes the first messages ahead of the cursor that no segment in `table` contains.
    func removeUnlocated(in table: ChannelSegmentTable) {
        let range = ahead[0]
        let next = table.all.filter { !$0.segment.isDeferred }.map(\.segment.firstOrdinal)
            .filter { $0 > range.lowerBound }.min()
        _ = remove(range.lowerBound..<min(range.upperBound, next ?? .max))
    }

    /// Removes lost messages.
    ///
    /// - Returns: the ordinals in `lost` that were ahead of the cursor.
    func remove(_ lost: Range<Int>) -> [Range<Int>] {
        let removed = ahead.remove(lost)
        acceptedCount -= removed.reduce(0) { $0 + Int64($1.count) }
        return removed
    }

    /// Discards all messages ahead of the cursor.
    func removeAll() {
        ahead.removeAll()
        passedCount = acceptedCount
        accountRanges()
    }

    /// Replaces the messages ahead of the cursor after recovery.
    ///
    /// - Parameter ranges: the ordinals of the messages, in ascending order.
    func restart(at ranges: Deque<Range<Int>>) {
        ahead = ranges
        passedCount = 0
        acceptedCount = ranges.reduce(0) { $0 + Int64($1.count) }
        segmentNumber = 0
        accountRanges()
    }
}
