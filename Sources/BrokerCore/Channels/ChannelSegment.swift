/// A channel's state of the messages in one segment.
final class ChannelSegment {
    let segment: Segment
    /// The number of settled messages: those that the channel has finished, discarded or never
    /// received.
    private(set) var settledCount: Int

    /// The number of leading messages of the segment that the topic published before the channel
    /// was created. The channel does not receive these messages.
    private let skippedCount: Int

    /// The state of each message by its index: ``untouched``, ``settled``, or the ID of its
    /// delivery. The array ends at the last delivered message.
    private var states: UnsafeMutablePointer<Int32>
    private(set) var stateCount = 0
    private var capacity = 0
    private var memory: AccountedMemory
    /// The delivery IDs of the messages left in a compacted segment, by message index. A compacted
    /// segment has no `states`.
    private var compactedStates: [Int: Int32] = [:]

    static let untouched: Int32 = -1
    static let settled: Int32 = -2

    /// Creates the state for a segment whose messages are untouched.
    ///
    /// - Parameters:
    ///   - settledCount: the number of messages that are settled from the start, because the topic
    ///     dispatched them before the channel existed.
    ///   - account: the account of the states' memory.
    init(_ segment: Segment, settledCount: Int, _ account: MemoryAccount? = nil) {
        self.segment = segment
        memory = AccountedMemory(account, .deliveries)
        self.settledCount = settledCount
        // Deferred messages are dispatched individually, and not in the order of their indexes.
        skippedCount = segment.isDeferred ? 0 : settledCount
        states = .allocate(capacity: 0)
    }

    deinit { states.deallocate() }

    /// `true` if the channel needs no message of the segment, and the topic adds no more messages
    /// to the segment.
    var isDone: Bool { segment.isSealed && settledCount >= segment.count }

    var unsettledCount: Int { segment.count - settledCount }

    /// `true` if the channel has neither delivered nor settled a message of the segment since the
    /// channel's creation.
    var isUntouched: Bool { stateCount == 0 && compactedStates.isEmpty }

    /// `true` if the channel receives every message of the segment and has not delivered any.
    var isComplete: Bool { isUntouched && skippedCount == 0 }

    func settle(_ count: Int) { settledCount += count }

    /// Replaces the number of settled messages after recovery.
    func recoverSettledCount(_ count: Int) { settledCount = count }

    /// Returns the ID of a message's delivery, ``untouched`` or ``settled``.
    @inline(__always)
    func state(of index: Int) -> Int32 {
        index < stateCount ? states[index] : compactedStates[index] ?? initialState(of: index)
    }

    private func initialState(of index: Int) -> Int32 {
        index < skippedCount ? Self.settled : Self.untouched
    }

    @inline(__always)
    func setState(_ state: Int32, of index: Int) {
        if index >= stateCount {
            guard compactedStates.isEmpty else { return setCompactedState(state, of: index) }
            reserve(index + 1)
        }
        states[index] = state
    }

    private func setCompactedState(_ state: Int32, of index: Int) {
        compactedStates[index] = state == Self.settled ? nil : state
    }

    /// Extends `states` to the first `count` messages.
    func reserve(_ count: Int) {
        guard count > stateCount else { return }
        if count > capacity {
            capacity = max(count, capacity * 2, segment.isSealed ? segment.count : 0)
            let wider = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
            wider.update(from: states, count: stateCount)
            states.deallocate()
            states = wider
            memory.set(capacity * MemoryLayout<Int32>.stride)
        }
        let firstUntouched = min(max(skippedCount, stateCount), count)
        (states + stateCount).initialize(
            repeating: Self.settled, count: firstUntouched - stateCount)
        (states + firstUntouched).initialize(
            repeating: Self.untouched, count: count - firstUntouched)
        stateCount = count
    }

    /// The index after the last message that has a delivery or was settled individually. All later
    /// messages that the channel receives are untouched.
    var endOfStates: Int { max(stateCount, (compactedStates.keys.max() ?? -1) + 1) }

    /// The indexes of the messages that have a delivery.
    var deliveredIndexes: [Int] {
        (0..<stateCount).filter { states[$0] >= 0 } + compactedStates.keys
    }

    /// Replaces `states` with a dictionary of the messages that have a delivery. The caller has
    /// removed all other messages from the segment.
    func compact() {
        for index in deliveredIndexes { compactedStates[index] = state(of: index) }
        states.deallocate()
        states = .allocate(capacity: 0)
        stateCount = 0
        capacity = 0
        memory.set(0)
    }
}
