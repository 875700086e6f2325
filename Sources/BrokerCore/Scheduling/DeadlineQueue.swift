import HeapModule

/// A priority queue of elements by deadline. Elements with the same deadline keep the order of
/// their insertion.
///
/// An element usually stays in the queue until its deadline. The caller must therefore check that a due
/// element is still valid.
struct DeadlineQueue<Element> {
    private struct Entry: Comparable {
        var deadline: Int64
        var number: Int
        var element: Element

        static func < (one: Entry, other: Entry) -> Bool {
            (one.deadline, one.number) < (other.deadline, other.number)
        }
        static func == (one: Entry, other: Entry) -> Bool { one.number == other.number }
    }

    private var heap = Heap<Entry>()
    private var insertedCount = 0

    var count: Int { heap.count }
    var nextDeadline: Int64? { heap.min?.deadline }

    /// The element with the earliest deadline.
    var first: (element: Element, deadline: Int64)? { heap.min.map { ($0.element, $0.deadline) } }

    mutating func insert(_ element: Element, deadline: Int64) {
        insertedCount += 1
        heap.insert(Entry(deadline: deadline, number: insertedCount, element: element))
    }

    /// Removes and returns the earliest element if its deadline has passed.
    mutating func popDue(at now: Int64) -> Element? {
        guard let first = heap.min, first.deadline <= now else { return nil }
        return heap.removeMin().element
    }

    mutating func removeAll() { heap = Heap() }

    /// Removes all elements for which `isRemoved` returns `true`.
    mutating func removeAll(where isRemoved: (Element, _ deadline: Int64) -> Bool) {
        heap = Heap(heap.unordered.filter { !isRemoved($0.element, $0.deadline) })
    }
}
