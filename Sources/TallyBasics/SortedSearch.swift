extension RandomAccessCollection
where Self: RangeReplaceableCollection, Element == Range<Int>, Index == Int {
    /// Removes the numbers in `removed` from ascending ranges that do not overlap.
    ///
    /// - Returns: the numbers that were removed.
    package mutating func remove(_ removed: Range<Int>) -> [Range<Int>] {
        let first = partitioningIndex { $0.upperBound > removed.lowerBound }
        let end = self[first...].partitioningIndex { $0.lowerBound >= removed.upperBound }
        guard first < end, !removed.isEmpty else { return [] }
        let found = self[first..<end].map { $0.clamped(to: removed) }
        let before = self[first].lowerBound..<Swift.max(self[first].lowerBound, removed.lowerBound)
        let upperBound = self[end - 1].upperBound
        let after = Swift.min(removed.upperBound, upperBound)..<upperBound
        replaceSubrange(first..<end, with: [before, after].filter { !$0.isEmpty })
        return found
    }
}

extension RandomAccessCollection {
    /// Returns the position of the first element that satisfies `predicate`, in logarithmic time.
    /// All elements that satisfy `predicate` must come after all that do not.
    ///
    /// - Returns: the index of that element; `endIndex` if no element satisfies `predicate`.
    @inlinable
    package func partitioningIndex(where predicate: (Element) -> Bool) -> Index {
        var start = startIndex
        var remaining = count
        while remaining > 0 {
            let half = remaining / 2
            let middle = index(start, offsetBy: half)
            if predicate(self[middle]) {
                remaining = half
            } else {
                start = index(after: middle)
                remaining -= half + 1
            }
        }
        return start
    }
}
