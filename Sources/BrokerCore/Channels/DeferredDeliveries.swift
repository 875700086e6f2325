import TallyBasics

/// The deferred messages of one channel by their deadlines. All times are on the monotonic clock, in
/// nanoseconds.
///
/// The entry of a message whose deferral ends early stays in the queue, because removing it would take
/// as long as searching the whole queue. Outdated entries are skipped when they are due, and removed
/// together once they outnumber the others.
struct DeferredDeliveries: ~Copyable {
    private var queue = DeadlineQueue<Int32>()
    /// The number of deferred messages, which have one entry each that is not outdated.
    private(set) var count = 0
    private var memory: AccountedMemory
    /// The number of entries for which the account contains memory. It grows in steps ahead of the
    /// entries in `queue`, and returns to 0 when no message is deferred.
    private var reservation = 0

    /// An estimate of the memory of one entry, in bytes.
    static let entryBytes = 24
    /// Up to this number, outdated entries stay in the queue, because each removal examines all
    /// entries.
    private static let toleratedCount = 1024

    /// - Parameter account: the account of the entries' memory.
    init(_ account: MemoryAccount?) { memory = AccountedMemory(account, .deliveries) }

    /// A time that is not later than the earliest deadline.
    var nextDeadline: Int64? { queue.nextDeadline }

    /// Adds a delivery that is deferred until `deadline`.
    mutating func insert(_ id: Int32, deadline: Int64) {
        count += 1
        queue.insert(id, deadline: deadline)
        guard queue.count > reservation else { return }
        reservation += max(16, reservation / 8)
        memory.set(reservation * Self.entryBytes)
    }

    /// Removes a delivery whose deferral ends early.
    ///
    /// - Parameter isCurrent: a closure that returns `false` for an outdated entry.
    mutating func removeOne(_ isCurrent: (_ id: Int32, _ deadline: Int64) -> Bool) {
        count -= 1
        if count == 0 { return removeAll() }
        guard queue.count > 2 * count + Self.toleratedCount else { return }
        queue.removeAll { !isCurrent($0, $1) }
    }

    /// Removes the delivery with the earliest deadline if that has passed.
    ///
    /// - Parameter isCurrent: a closure that returns `false` for an outdated entry.
    mutating func popDue(
        at now: Int64, _ isCurrent: (_ id: Int32, _ deadline: Int64) -> Bool
    ) -> Int32? {
        while let (id, deadline) = queue.first, deadline <= now {
            _ = queue.popDue(at: now)
            guard isCurrent(id, deadline) else { continue }
            count -= 1
            if count == 0 { removeAll() }
            return id
        }
        return nil
    }

    mutating func removeAll() {
        queue.removeAll()
        count = 0
        reservation = 0
        memory.set(0)
    }
}
