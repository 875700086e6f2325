import TallyBasics

/// The indexes of the records that remain in a compacted or damaged segment.
struct RemainingMessages {
    // INVARIANT: the indexes are ascending. The n-th index belongs to the n-th record in the slab.
    private let indexes: [UInt16]

    /// Creates the list of remaining records from their indexes, which must be ascending.
    init(_ indexes: [Int]) { self.indexes = indexes.map { UInt16($0) } }

    var count: Int { indexes.count }

    /// Returns `true` if the record `index` remains.
    func contains(_ index: Int) -> Bool {
        let position = firstPosition(from: index)
        return position < indexes.count && indexes[position] == index
    }

    /// Returns the position in the slab of the record `index`, which must remain in the segment.
    func position(of index: Int) -> Int {
        let position = firstPosition(from: index)
        precondition(
            position < indexes.count && indexes[position] == index,
            "a needed record is never released")
        return position
    }

    /// Returns the range of lost records that starts at `index`; `nil` if the record at `index`
    /// remains.
    ///
    /// - Parameter count: the number of records that the segment had.
    func gap(at index: Int, below count: Int) -> Range<Int>? {
        let position = firstPosition(from: index)
        guard position < indexes.count else { return index..<count }
        let next = Int(indexes[position])
        return next == index ? nil : index..<next
    }

    /// Returns the index after the remaining consecutive records that start at `index`.
    func endOfRun(from index: Int) -> Int {
        var position = firstPosition(from: index)
        var end = index
        while position < indexes.count, indexes[position] == end {
            position += 1
            end += 1
        }
        return end
    }

    /// Returns the position in the slab of the first remaining record whose index is at least
    /// `index`.
    private func firstPosition(from index: Int) -> Int {
        indexes.partitioningIndex { $0 >= index }
    }
}
