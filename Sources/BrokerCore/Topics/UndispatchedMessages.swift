import DequeModule
import NSQWire
import TallyBasics

/// The messages of a topic that were not dispatched to its channels yet.
///
/// The topic's messages have consecutive ordinals, except deferred messages, which have none.
final class UndispatchedMessages {
    /// The ordinal after the last published message.
    private(set) var publishedEnd: Int
    /// The ordinal after the last dispatched message.
    private(set) var dispatchedEnd: Int
    /// The number of undispatched ordinals whose messages recovery has not found.
    private(set) var lostCount = 0
    /// The deferred messages in the order of their IDs, which is the order in which they were
    /// published.
    private(set) var deferred = Deque<DeferredMessage>()
    /// The number of channels at the start of the topic's list that have already received the first
    /// deferred message. It is greater than 0 only if the message has so many channels that its
    /// dispatch takes several iterations.
    private(set) var firstCopies = 0
    /// The number of deferred messages that are for some channels only.
    private(set) var restrictedCount = 0
    // INVARIANT: no segment below this serial number is a tail. Each segment therefore contains only
    // assigned messages or only unassigned messages.
    /// The serial number after the last segment whose deferred messages are assigned.
    private var assignedSerialEnd: UInt64 = 0
    private var memory: AccountedMemory

    /// A message that is deferred until `deadline` on the monotonic clock, in nanoseconds.
    struct DeferredMessage {
        var segment: Segment
        var index: Int
        var deadline: Int64
        /// The channels that receive the message; `nil` for all.
        var channels: [ChannelName]?
        /// The memory in bytes that the account contains for the message: this entry, and the
        /// deliveries that the dispatch is going to create.
        var reservedBytes: Int

        /// `true` if the message log contains the message.
        var isDurable: Bool { index < segment.durableCount }
    }

    init(firstOrdinal: Int, _ account: MemoryAccount) {
        memory = AccountedMemory(account, .deliveries)
        publishedEnd = firstOrdinal
        dispatchedEnd = firstOrdinal
    }

    var count: Int { publishedEnd - dispatchedEnd - lostCount + deferred.count }

    /// The ordinals of undispatched messages.
    var ordinals: Range<Int> { dispatchedEnd..<max(dispatchedEnd, publishedEnd) }

    // MARK: Publishing

    @inline(__always)
    func didPublish(upTo end: Int) { publishedEnd = end }

    /// Adds a deferred message.
    ///
    /// - Parameters:
    ///   - channels: the channels that receive the message; `nil` for all.
    ///   - channelCount: the number of channels of the topic.
    func addDeferred(
        _ segment: Segment, _ index: Int, until deadline: Int64, for channels: [ChannelName]? = nil,
        channelCount: Int
    ) {
        segment.addUndispatched()
        let bytes = Self.deferredBytes(channelCount: channelCount)
        memory.set(memory.byteCount + bytes)
        if channels != nil { restrictedCount += 1 }
        deferred.append(
            DeferredMessage(
                segment: segment, index: index, deadline: deadline, channels: channels,
                reservedBytes: bytes))
    }

    /// Returns the memory that a deferred message takes in addition to its slab, in bytes.
    static func deferredBytes(channelCount: Int) -> Int {
        MemoryLayout<DeferredMessage>.stride + channelCount * DeliveryTracker.deferredBytes
    }

    /// Removes the messages that the message log has failed to write.
    ///
    /// - Parameter end: the ordinal after the last message in the log.
    func removeUndurable(from end: Int) {
        publishedEnd = end
        while let last = deferred.last, !last.isDurable {
            last.segment.removeUndispatched()
            if last.channels != nil { restrictedCount -= 1 }
            memory.set(memory.byteCount - last.reservedBytes)
            deferred.removeLast()
        }
    }

    /// The deadlines of the deferred messages that the message log does not contain yet, in the order
    /// of publishing. They are on the monotonic clock, in nanoseconds.
    var undurableDeadlines: [Int64] {
        var deadlines: [Int64] = []
        for message in deferred.reversed() {
            guard !message.isDurable else { break }
            deadlines.append(message.deadline)
        }
        return deadlines.reversed()
    }

    // MARK: Assigning

    /// Assigns all deferred messages to the topic's present channels. The messages are dispatched
    /// later, even if the topic is paused in the meantime, and never to a channel that is added or
    /// emptied in the meantime.
    ///
    /// - Precondition: the segments of these messages are closed.
    func assignDeferred() {
        guard let last = deferred.last else { return }
        assignedSerialEnd = max(assignedSerialEnd, last.segment.serial + 1)
    }

    /// Returns `true` if the segment's undispatched messages are assigned.
    func isAssigned(_ segment: Segment) -> Bool {
        segment.isDeferred && segment.serial < assignedSerialEnd
    }

    /// The number of assigned messages, which are at the start of the list.
    var assignedCount: Int {
        guard let first = deferred.first, isAssigned(first.segment) else { return 0 }
        return deferred.partitioningIndex { !isAssigned($0.segment) }
    }

    // MARK: Dispatching

    /// Marks the messages below `end` as dispatched.
    ///
    /// - Returns: the ordinals of these messages; `nil` if all were dispatched before.
    func dispatch(upTo end: Int) -> Range<Int>? {
        guard dispatchedEnd < end else { return nil }
        defer { dispatchedEnd = end }
        return dispatchedEnd..<end
    }

    /// Resets the number of lost messages after all undispatched messages were dispatched or
    /// discarded.
    func resetLostCount() { lostCount = 0 }

    /// Removes deferred messages from the start of the list.
    ///
    /// - Parameter requiresDurable: `true` stops at the first message that the message log does not
    ///   contain; `false` removes all.
    /// - Returns: the removed messages.
    func removeDeferred(requiresDurable: Bool) -> [DeferredMessage] {
        guard !deferred.isEmpty else { return [] }
        return removeDeferred(first: dispatchableDeferredCount(requiresDurable: requiresDurable))
    }

    /// Returns the number of deferred messages at the start of the list that can be dispatched.
    ///
    /// - Parameter requiresDurable: `true` stops at the first message that the message log does not
    ///   contain.
    func dispatchableDeferredCount(requiresDurable: Bool) -> Int {
        guard requiresDurable else { return deferred.count }
        // Durable messages precede the others, because a flush writes all messages.
        return deferred.partitioningIndex { !$0.isDurable }
    }

    func removeDeferred(first count: Int) -> [DeferredMessage] { removeDeferred(at: 0..<count) }

    /// Removes the deferred messages that can be dispatched and are not assigned.
    ///
    /// - Parameter requiresDurable: see ``dispatchableDeferredCount(requiresDurable:)``.
    func removeUnassigned(requiresDurable: Bool) -> [DeferredMessage] {
        let first = assignedCount
        let end = dispatchableDeferredCount(requiresDurable: requiresDurable)
        return removeDeferred(at: first..<max(first, end))
    }

    /// Records that the next channels have received the first deferred message.
    func addFirstCopies(_ count: Int) { firstCopies += count }

    private func removeDeferred(at positions: Range<Int>) -> [DeferredMessage] {
        if positions.contains(0) { firstCopies = 0 }
        let removed = Array(deferred[positions])
        deferred.removeSubrange(positions)
        for message in removed {
            if message.channels != nil { restrictedCount -= 1 }
            message.segment.removeUndispatched()
            memory.set(memory.byteCount - message.reservedBytes)
        }
        return removed
    }

    func removeAllDeferred() {
        firstCopies = 0
        restrictedCount = 0
        deferred.removeAll()
        memory.set(0)
    }

    // MARK: Segments

    /// Returns the deadlines of the segment's undispatched deferred messages on the monotonic clock
    /// in nanoseconds, by message index.
    func deadlines(in segment: Segment) -> [Int: Int64] {
        guard segment.undispatchedCount > 0 else { return [:] }
        let messages = deferred.lazy.filter { $0.segment === segment }
        return Dictionary(uniqueKeysWithValues: messages.map { ($0.index, $0.deadline) })
    }

    /// Returns the indexes of the segment's undispatched messages.
    func indexes(in segment: Segment) -> Set<Int> {
        if segment.isDeferred {
            return Set(deadlines(in: segment).keys)
        }
        guard segment.endOrdinal > dispatchedEnd else { return [] }
        return Set(max(0, dispatchedEnd - segment.firstOrdinal)..<segment.count)
    }

    /// Returns the number of the segment's undispatched messages.
    func count(in segment: Segment) -> Int {
        segment.isDeferred
            ? segment.undispatchedCount
            : min(segment.count, max(0, segment.endOrdinal - dispatchedEnd))
    }

    // MARK: Recovery

    func recoverPublished(upTo end: Int) { publishedEnd = max(publishedEnd, end) }

    func recoverDispatched(upTo end: Int) { dispatchedEnd = max(dispatchedEnd, end) }

    func setLostCount(_ count: Int) { lostCount = count }

    /// Restores the order of the deferred messages. The records of relocated messages are found after
    /// those of later messages.
    func sortDeferred() {
        deferred.sort { ($0.segment.serial, $0.index) < ($1.segment.serial, $1.index) }
    }
}
