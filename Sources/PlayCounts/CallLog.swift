/// What the client got: every call with its counts, in order.
package struct CallLog: Sendable {
    package struct Entry: Sendable {
        package let instant: Instant
        package let counts: ArraySlice<PlayCount>
    }

    private var ends: [(instant: Instant, end: Int)] = []
    private var counts: [PlayCount] = []

    package init() {}

    package var calls: Int { ends.count }
    /// Over all calls.
    package var videos: Int { counts.count }

    package mutating func record(_ counts: [PlayCount], at instant: Instant) {
        self.counts.append(contentsOf: counts)
        ends.append((instant, self.counts.count))
    }

    package var entries: some Sequence<Entry> {
        ends.indices.lazy.map { [ends, counts] index in
            let start = index == 0 ? 0 : ends[index - 1].end
            return Entry(instant: ends[index].instant, counts: counts[start..<ends[index].end])
        }
    }
}
