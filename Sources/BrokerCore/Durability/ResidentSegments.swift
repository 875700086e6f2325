import TallyBasics

/// The sealed segments of a durable topic whose messages are in memory.
struct ResidentSegments {
    // INVARIANT: the segments are in the order of their serial numbers.
    private var segments: [Segment] = []
    /// `true` if a segment was added since the last trimming. Without a new segment, trimming again
    /// would release no further memory.
    private var hasNewSegment = false

    mutating func insert(_ segment: Segment) {
        hasNewSegment = true
        let position = position(of: segment)
        guard position == segments.count || segments[position] !== segment else { return }
        segments.insert(segment, at: position)
    }

    mutating func remove(_ segment: Segment) {
        let position = position(of: segment)
        guard position < segments.count, segments[position] === segment else { return }
        segments.remove(at: position)
    }

    private func position(of segment: Segment) -> Int {
        segments.partitioningIndex { $0.serial >= segment.serial }
    }

    /// Releases the memory of segments until the remaining segments contain at most `limit` messages.
    /// The youngest segments are released first, because the channels reach them last.
    ///
    /// - Parameter release: a closure that releases the memory of a segment, and returns `false` if
    ///   the memory is still needed.
    mutating func trim(toMessages limit: Int, _ release: (Segment) -> Bool) {
        guard hasNewSegment else { return }
        hasNewSegment = false
        var count = segments.reduce(0) { $0 + $1.count }
        for (position, segment) in segments.enumerated().reversed() {
            guard count > limit else { return }
            guard release(segment) else { continue }
            segments.remove(at: position)
            count -= segment.count
        }
    }
}
