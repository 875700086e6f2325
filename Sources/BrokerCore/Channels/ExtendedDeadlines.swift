/// A priority queue of the deliveries whose timeout TOUCH has extended to the maximum. Their
/// deadlines are not in the order of their insertion.
///
/// Each delivery stores its position in the heap. A FIN or a TOUCH therefore removes the delivery in
/// logarithmic time, and the heap contains no outdated entries.
struct ExtendedDeadlines {
    // INVARIANT: the delivery at position `n` has a `heapPosition` of `n`. Its deadline is not later
    // than those of the deliveries at the positions `2n + 1` and `2n + 2`.
    private var ids: [Int32] = []
    /// The number of moves and comparisons since the heap's creation. Tests use it to measure the
    /// cost of an operation.
    private(set) var stepCount = 0

    var count: Int { ids.count }

    /// The delivery with the earliest deadline.
    var first: Int32? { ids.first }

    /// Inserts a delivery.
    ///
    /// - Parameter entries: the pool's memory, which contains all deliveries of the heap.
    mutating func insert(_ id: Int32, in entries: UnsafeMutablePointer<DeliveryEntry>) {
        ids.append(id)
        moveUp(id, from: ids.count - 1, entries)
    }

    /// Removes a delivery that is in the heap.
    mutating func remove(_ id: Int32, in entries: UnsafeMutablePointer<DeliveryEntry>) {
        let position = Int(entries[Int(id)].heapPosition)
        entries[Int(id)].heapPosition = DeliveryPool.none
        let last = ids.removeLast()
        guard last != id else { return }
        let parent = max(0, position - 1) / 2
        if entries[Int(last)].sortKey < entries[Int(ids[parent])].sortKey {
            moveUp(last, from: position, entries)
        } else {
            moveDown(last, from: position, entries)
        }
    }

    private mutating func moveUp(
        _ id: Int32, from start: Int, _ entries: UnsafeMutablePointer<DeliveryEntry>
    ) {
        var position = start
        while position > 0 {
            let parent = ids[(position - 1) / 2]
            stepCount += 1
            guard entries[Int(id)].sortKey < entries[Int(parent)].sortKey else { break }
            place(parent, at: position, entries)
            position = (position - 1) / 2
        }
        place(id, at: position, entries)
    }

    private mutating func moveDown(
        _ id: Int32, from start: Int, _ entries: UnsafeMutablePointer<DeliveryEntry>
    ) {
        var position = start
        while 2 * position + 1 < ids.count {
            let left = 2 * position + 1
            let right = min(left + 1, ids.count - 1)
            stepCount += 1
            let isRightEarlier =
                entries[Int(ids[right])].sortKey < entries[Int(ids[left])].sortKey
            let child = isRightEarlier ? right : left
            guard entries[Int(ids[child])].sortKey < entries[Int(id)].sortKey else { break }
            place(ids[child], at: position, entries)
            position = child
        }
        place(id, at: position, entries)
    }

    private mutating func place(
        _ id: Int32, at position: Int, _ entries: UnsafeMutablePointer<DeliveryEntry>
    ) {
        ids[position] = id
        entries[Int(id)].heapPosition = Int32(position)
    }
}
