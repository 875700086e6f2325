import HeapModule

/// Things by due time, the earliest first.
///
/// Nothing is taken out before its time: whoever takes an entry checks that it still matters.
struct DeadlineQueue<Subject> {
    private struct Entry: Comparable {
        var due: Int64
        var subject: Subject

        static func < (one: Entry, other: Entry) -> Bool { one.due < other.due }
        static func == (one: Entry, other: Entry) -> Bool { one.due == other.due }
    }

    private var heap = Heap<Entry>()

    var count: Int { heap.count }
    var nextDue: Int64? { heap.min?.due }

    mutating func insert(_ subject: Subject, due: Int64) {
        heap.insert(Entry(due: due, subject: subject))
    }

    /// Takes the earliest entry if its time has come.
    mutating func popDue(at now: Int64) -> Subject? {
        guard let first = heap.min, first.due <= now else { return nil }
        return heap.removeMin().subject
    }

    mutating func removeAll() { heap = Heap() }
}
