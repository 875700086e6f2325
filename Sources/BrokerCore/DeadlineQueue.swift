import HeapModule

/// Things by due time, the earliest first; those due at the same time in the order they came.
///
/// Nothing is taken out before its time: whoever takes an entry checks that it still matters.
struct DeadlineQueue<Subject> {
    private struct Entry: Comparable {
        var due: Int64
        var number: Int
        var subject: Subject

        static func < (one: Entry, other: Entry) -> Bool {
            (one.due, one.number) < (other.due, other.number)
        }
        static func == (one: Entry, other: Entry) -> Bool { one.number == other.number }
    }

    private var heap = Heap<Entry>()
    private var insertedCount = 0

    var count: Int { heap.count }
    var nextDue: Int64? { heap.min?.due }

    mutating func insert(_ subject: Subject, due: Int64) {
        insertedCount += 1
        heap.insert(Entry(due: due, number: insertedCount, subject: subject))
    }

    /// Takes the earliest entry if its time has come.
    mutating func popDue(at now: Int64) -> Subject? {
        guard let first = heap.min, first.due <= now else { return nil }
        return heap.removeMin().subject
    }

    mutating func removeAll() { heap = Heap() }
}

/// The alarms that one subject has set and that have not gone off: each is earlier than those
/// before it, so that the next to go off is the last.
///
/// It sets none that would tell it nothing new. Otherwise each early alarm would be followed by
/// one more for what is due late, until an hour's worth of them lies in the queue.
struct OpenAlarms {
    private var dues: [Int64] = []

    /// - Returns: whether the subject is to set an alarm for `due`.
    mutating func add(_ due: Int64) -> Bool {
        guard due < dues.last ?? .max else { return false }
        dues.append(due)
        return true
    }

    /// The next of them went off.
    mutating func goOff() { dues.removeLast() }
}
