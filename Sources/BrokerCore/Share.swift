/// What one channel has to do with one segment of its topic: which messages are its own, and how
/// far it is with each.
final class Share {
    let segment: Segment
    /// Messages that the channel is done with, or never had to do with.
    var settled: Int

    /// A word a message: untouched, settled, or its delivery. Made only as far as delivery came.
    private var states: UnsafeMutablePointer<Int32>
    private(set) var stateCount = 0
    private var capacity = 0

    static let untouched: Int32 = -1
    static let settledState: Int32 = -2

    init(_ segment: Segment, settled: Int) {
        self.segment = segment
        self.settled = settled
        states = .allocate(capacity: 0)
    }

    deinit { states.deallocate() }

    /// There is nothing left to do, nor will there be.
    var isDone: Bool { segment.isSealed && settled == segment.count }

    /// The delivery of a record, ``untouched`` or ``settledState``.
    @inline(__always)
    func state(of index: Int) -> Int32 {
        index < stateCount ? states[index] : Self.untouched
    }

    @inline(__always)
    func setState(_ state: Int32, of index: Int) {
        if index >= stateCount { reach(index + 1) }
        states[index] = state
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
        (states + stateCount).initialize(repeating: Self.untouched, count: count - stateCount)
        stateCount = count
    }

    /// The records that have a delivery, ascending.
    var deliveredIndexes: [Int] {
        (0..<stateCount).filter { states[$0] >= 0 }
    }
}
