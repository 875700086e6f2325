import TallyBasics

/// The calls that a client received, with their counts, in the order of receipt.
package struct CallLog: Sendable {
    /// One call.
    package struct Entry: Sendable {
        /// The time at which the client received the call.
        package let instant: MonotonicInstant
        /// The loop iteration in which the call was made.
        package let iteration: Int
        package let counts: ArraySlice<PlayCount>
    }

    private var ends: [(instant: MonotonicInstant, iteration: Int, end: Int)] = []
    private var counts: [PlayCount] = []

    package init() {}

    package var calls: Int { ends.count }
    /// The number of counts in all calls together.
    package var videos: Int { counts.count }

    /// Appends a call.
    package mutating func record(
        _ counts: [PlayCount], at instant: MonotonicInstant, iteration: Int = 0
    ) {
        self.counts.append(contentsOf: counts)
        ends.append((instant, iteration, self.counts.count))
    }

    /// The calls in order.
    package var entries: some Sequence<Entry> { ends.indices.lazy.map { self[$0] } }

    /// A call by its index in the order of the calls.
    subscript(index: Int) -> Entry {
        let start = index == 0 ? 0 : ends[index - 1].end
        let call = ends[index]
        return Entry(
            instant: call.instant, iteration: call.iteration, counts: counts[start..<call.end])
    }
}
