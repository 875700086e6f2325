/// The memory of a channel's deliveries, with their linked lists.
///
/// Each consumer has a list of its deliveries in flight. All of these deliveries have the same
/// timeout, so they expire in the order in which they began. Insertions and timers therefore access
/// only the ends of a list, and a FIN removes its delivery in constant time. A second list contains
/// the consumer's deliveries whose timeout TOUCH has extended to the maximum; a heap orders their
/// deadlines. The pool manages its own memory, because the uniqueness and bounds checks of an array
/// took a third of the time spent on a message.
final class DeliveryPool {
    static let none: Int32 = -1

    private struct List {
        var first = DeliveryPool.none
        var last = DeliveryPool.none
        var count = 0
        /// The deadline of the consumer's entry in `checks`; `Int64.max` without an entry.
        var checkAt = Int64.max
    }

    private var entries: UnsafeMutablePointer<DeliveryEntry>
    private(set) var capacity = 16
    private var memory: AccountedMemory
    /// The number of leading entries whose memory is in the account. The memory after these entries
    /// was never accessed, so the operating system has not assigned it.
    private var accountedCount = 0
    private var used = 0
    private var firstFree = DeliveryPool.none
    /// The list of waiting messages, followed by two lists for each consumer slot.
    private var lists: UnsafeMutableBufferPointer<List>
    private(set) var longest = ExtendedDeadlines()
    // INVARIANT: each consumer with a delivery in its first list has one entry in `checks` whose
    // deadline equals the list's `checkAt`. This deadline is not later than that of the list's first
    // delivery. An entry with another deadline is outdated.
    private var checks = DeadlineQueue<Int32>()

    /// The number of deliveries that are not free.
    private(set) var count = 0

    private static let waitingList = 0

    /// - Parameter account: the account of the pool's memory.
    init(_ account: MemoryAccount? = nil) {
        memory = AccountedMemory(account, .deliveries)
        entries = .allocate(capacity: capacity)
        lists = .allocate(capacity: 1)
        lists.initialize(repeating: List())
    }

    deinit {
        entries.deallocate()
        lists.deallocate()
    }

    /// `true` if the pool has no deliveries but more memory than an idle channel needs.
    var isOversized: Bool { count == 0 && capacity > 1024 }

    /// The IDs of the deliveries that are not free.
    var live: some Sequence<Int32> {
        (0..<Int32(used)).lazy.filter { self.entries[Int($0)].state != .free }
    }

    @inline(__always)
    subscript(_ id: Int32) -> DeliveryEntry {
        unsafeAddress { UnsafePointer(entries + Int(id)) }
        unsafeMutableAddress { entries + Int(id) }
    }

    @inline(__always)
    func allocate() -> Int32 {
        count += 1
        if firstFree != Self.none {
            let id = firstFree
            firstFree = entries[Int(id)].next
            entries[Int(id)].next = Self.none
            return id
        }
        if used == accountedCount { extend() }
        (entries + used).initialize(to: DeliveryEntry())
        used += 1
        return Int32(used - 1)
    }

    private func extend() {
        if used == capacity { grow() }
        accountedCount = min(capacity, accountedCount + max(16, accountedCount / 8))
        memory.set(accountedCount * MemoryLayout<DeliveryEntry>.stride)
    }

    private func grow() {
        let wider = UnsafeMutablePointer<DeliveryEntry>.allocate(capacity: capacity * 2)
        wider.moveInitialize(from: entries, count: used)
        entries.deallocate()
        entries = wider
        capacity *= 2
    }

    /// Frees a delivery that is in no list.
    @inline(__always)
    func free(_ id: Int32) {
        count -= 1
        let entry = entries + Int(id)
        entry.pointee.state = .free
        entry.pointee.next = firstFree
        firstFree = id
    }

    /// Returns `true` if the message of delivery `one` has a lower message ID than that of `other`.
    func comesBefore(_ one: Int32, _ other: Int32) -> Bool {
        (self[one].segmentNumber, self[one].index)
            < (self[other].segmentNumber, self[other].index)
    }

    // MARK: Messages in flight

    /// Prepares the lists of a consumer for deliveries that time out at `deadline`.
    func prepare(_ consumer: Int32, deadline: Int64) {
        let list = Self.list(of: consumer, isLongest: false)
        if list + 1 >= lists.count { addLists(upTo: list + 2) }
        guard deadline < lists[list].checkAt else { return }
        lists[list].checkAt = deadline
        checks.insert(consumer, deadline: deadline)
    }

    private func addLists(upTo count: Int) {
        let longer = UnsafeMutableBufferPointer<List>.allocate(
            capacity: max(count, lists.count * 2))
        let kept = longer.moveInitialize(fromContentsOf: lists)
        longer[kept...].initialize(repeating: List())
        lists.deallocate()
        lists = longer
    }

    @inline(__always)
    private static func list(of consumer: Int32, isLongest: Bool) -> Int {
        1 + 2 * Int(consumer) + (isLongest ? 1 : 0)
    }

    /// Appends a delivery in flight to the list of its consumer, which ``prepare(_:deadline:)`` has
    /// prepared. The deadline must not be earlier than those of the consumer's other deliveries.
    @inline(__always)
    func appendInFlight(_ id: Int32) {
        append(id, to: Self.list(of: entries[Int(id)].consumer, isLongest: false))
    }

    /// Appends a delivery in flight whose deadline may be earlier than those of other deliveries.
    func appendLongest(_ id: Int32) {
        append(id, to: Self.list(of: entries[Int(id)].consumer, isLongest: true))
        longest.insert(id, in: entries)
    }

    /// Returns a delivery in flight to a consumer; `nil` if there is none.
    func firstInFlight(to consumer: Int32) -> Int32? {
        let list = Self.list(of: consumer, isLongest: false)
        guard list < lists.count else { return nil }
        let first = lists[list].first
        let id = first != Self.none ? first : lists[list + 1].first
        return id == Self.none ? nil : id
    }

    /// A time that is not later than the earliest deadline of a message in flight, on the monotonic
    /// clock in nanoseconds.
    var nextCheck: Int64? {
        guard let longest = longest.first.map({ self[$0].sortKey }) else {
            return checks.nextDeadline
        }
        return min(longest, checks.nextDeadline ?? .max)
    }

    /// Returns the delivery of a message in flight whose deadline has passed. After `nil`,
    /// ``nextCheck`` is later than `now`.
    func firstDue(at now: Int64) -> Int32? {
        if let first = longest.first, self[first].sortKey <= now { return first }
        while let (consumer, deadline) = checks.first, deadline <= now {
            let list = Self.list(of: consumer, isLongest: false)
            let first = lists[list].first
            let isCurrent = lists[list].checkAt == deadline
            if isCurrent, first != Self.none, self[first].sortKey <= now { return first }
            _ = checks.popDue(at: now)
            guard isCurrent else { continue }
            lists[list].checkAt = .max
            if first != Self.none { prepare(consumer, deadline: self[first].sortKey) }
        }
        return nil
    }

    // MARK: Waiting messages

    var waitingCount: Int { lists[Self.waitingList].count }

    /// The waiting delivery that is redelivered first.
    var firstWaiting: Int32? {
        let first = lists[Self.waitingList].first
        return first == Self.none ? nil : first
    }

    /// Appends a waiting delivery behind all deliveries that already wait. If its position in the
    /// queue is lower than the last waiting delivery's position, it gets the position of that
    /// delivery.
    func appendWaiting(_ id: Int32) {
        let last = lists[Self.waitingList].last
        if last != Self.none { self[id].sortKey = max(self[id].sortKey, self[last].sortKey) }
        append(id, to: Self.waitingList)
    }

    // MARK: Lists

    @inline(__always)
    private func append(_ id: Int32, to list: Int) {
        let entry = entries + Int(id)
        let last = lists[list].last
        entry.pointee.previous = last
        entry.pointee.next = Self.none
        if last == Self.none {
            lists[list].first = id
        } else {
            entries[Int(last)].next = id
        }
        lists[list].last = id
        lists[list].count += 1
    }

    /// Removes a delivery in flight or a waiting delivery from its list.
    @inline(__always)
    func remove(_ id: Int32) {
        let entry = entries + Int(id)
        var list = Self.waitingList
        if entry.pointee.state == .inFlight {
            let isLongest = entry.pointee.heapPosition != Self.none
            list = Self.list(of: entry.pointee.consumer, isLongest: isLongest)
            if isLongest { longest.remove(id, in: entries) }
        }
        let previous = entry.pointee.previous
        let next = entry.pointee.next
        if previous == Self.none {
            lists[list].first = next
        } else {
            entries[Int(previous)].next = next
        }
        if next == Self.none {
            lists[list].last = previous
        } else {
            entries[Int(next)].previous = previous
        }
        entry.pointee.previous = Self.none
        entry.pointee.next = Self.none
        lists[list].count -= 1
    }
}
