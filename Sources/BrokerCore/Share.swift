/// What one channel has to do with one segment of its topic: which messages are its own, and how
/// far it is with each.
final class Share {
    let segment: Segment
    /// Messages that the channel is done with, or never had to do with.
    var settled: Int

    /// So many at the segment's start never concerned it.
    private let skipped: Int

    /// A word a message: untouched, settled, or its delivery. Made only as far as delivery came.
    private var states: UnsafeMutablePointer<Int32>
    private(set) var stateCount = 0
    private var capacity = 0
    /// The states of the few messages that are left of a compacted segment; then there are no
    /// words.
    private var left: [Int: Int32] = [:]

    static let untouched: Int32 = -1
    static let settledState: Int32 = -2

    init(_ segment: Segment, settled: Int) {
        self.segment = segment
        self.settled = settled
        // Deferred messages are handed over one by one, and not as they lie.
        skipped = segment.isDeferred ? 0 : settled
        states = .allocate(capacity: 0)
    }

    deinit { states.deallocate() }

    /// There is nothing left to do, nor will there be.
    var isDone: Bool { segment.isSealed && settled >= segment.count }

    /// The channel has not come to any of its messages yet.
    var isUntouched: Bool { stateCount == 0 && left.isEmpty }

    /// Every message of the segment is still to come to the channel.
    var isWhole: Bool { isUntouched && skipped == 0 }

    /// The delivery of a record, ``untouched`` or ``settledState``.
    @inline(__always)
    func state(of index: Int) -> Int32 {
        index < stateCount ? states[index] : left[index] ?? firstState(of: index)
    }

    private func firstState(of index: Int) -> Int32 {
        index < skipped ? Self.settledState : Self.untouched
    }

    @inline(__always)
    func setState(_ state: Int32, of index: Int) {
        if index >= stateCount {
            guard left.isEmpty else { return setStateLeft(state, of: index) }
            reach(index + 1)
        }
        states[index] = state
    }

    private func setStateLeft(_ state: Int32, of index: Int) {
        left[index] = state == Self.settledState ? nil : state
    }

    /// Makes words for the first `count` messages.
    func reach(_ count: Int) {
        guard count > stateCount else { return }
        if count > capacity {
            capacity = max(count, capacity * 2, segment.isSealed ? segment.count : 0)
            let wider = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
            wider.update(from: states, count: stateCount)
            states.deallocate()
            states = wider
        }
        let concerned = min(max(skipped, stateCount), count)
        (states + stateCount).initialize(
            repeating: Self.settledState, count: concerned - stateCount)
        (states + concerned).initialize(repeating: Self.untouched, count: count - concerned)
        stateCount = count
    }

    /// The records that have a delivery.
    var deliveredIndexes: [Int] {
        (0..<stateCount).filter { states[$0] >= 0 } + left.keys
    }

    /// The segment was compacted: only messages with a delivery are left to keep words for.
    func compact() {
        for index in deliveredIndexes { left[index] = state(of: index) }
        states.deallocate()
        states = .allocate(capacity: 0)
        stateCount = 0
        capacity = 0
    }
}
