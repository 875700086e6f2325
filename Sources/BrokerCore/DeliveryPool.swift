/// One message of a channel between its first delivery (or deferral) and its FIN.
struct Delivery {
    enum State: UInt8 {
        case free
        /// With a consumer; `due` is when that ends.
        case inFlight
        /// To be delivered again; `due` is its turn: how many messages the channel must have taken.
        case waiting
        /// To wait until `due`.
        case deferred
    }

    var state = State.free
    var attempts: UInt16 = 0
    /// Where the message lies: the number of the channel's share, and the record in its segment.
    var index: UInt16 = 0
    var share = 0
    /// The consumer's place in the channel.
    var consumer: Int32 = 0
    /// The list it is in; see ``DeliveryPool/lists``.
    var list: Int32 = DeliveryPool.noList
    var previous: Int32 = DeliveryPool.none
    var next: Int32 = DeliveryPool.none
    var due: Int64 = 0
    var deliveredAt: Int64 = 0
}

/// A channel's deliveries, and the lists that they stand in.
///
/// Deadlines lie in one list per length of timeout: equal timeouts end in the order they began, so
/// that both ends of a list are all that is ever looked at, and a FIN takes its delivery out in a
/// few instructions. A class with memory of its own: on the path of every message an array's
/// checks for uniqueness and bounds were a third of the cost.
final class DeliveryPool {
    static let none: Int32 = -1
    static let noList: Int32 = -1
    /// The list of those to be delivered again, in their turn.
    static let waitingList: Int32 = 0
    /// The list of those that TOUCH has stretched to the longest timeout. They are due before
    /// others of their consumer's timeout, and would have to look for their place among them.
    static let longestList: Int32 = 1

    struct List {
        /// Nanoseconds; the two lists above have none.
        var timeout: Int64
        var first = DeliveryPool.none
        var last = DeliveryPool.none
        var count = 0
    }

    private(set) var entries: UnsafeMutablePointer<Delivery>
    private var capacity = 16
    private var used = 0
    private var firstFree = DeliveryPool.none
    private(set) var lists: UnsafeMutableBufferPointer<List>

    /// Deliveries that are not free.
    private(set) var count = 0

    init() {
        entries = .allocate(capacity: capacity)
        lists = .allocate(capacity: 2)
        lists.initialize(repeating: List(timeout: 0))
    }

    deinit {
        entries.deallocate()
        lists.deallocate()
    }

    /// It holds nothing, and more memory than a quiet channel is to cost.
    var isIdle: Bool { count == 0 && capacity > 1024 }

    /// All that are in use.
    var live: some Sequence<Int32> {
        (0..<Int32(used)).lazy.filter { self.entries[Int($0)].state != .free }
    }

    @inline(__always)
    subscript(_ id: Int32) -> Delivery {
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
        if used == capacity { grow() }
        (entries + used).initialize(to: Delivery())
        used += 1
        return Int32(used - 1)
    }

    private func grow() {
        let wider = UnsafeMutablePointer<Delivery>.allocate(capacity: capacity * 2)
        wider.moveInitialize(from: entries, count: used)
        entries.deallocate()
        entries = wider
        capacity *= 2
    }

    /// Frees a delivery that stands in no list.
    @inline(__always)
    func free(_ id: Int32) {
        count -= 1
        let entry = entries + Int(id)
        entry.pointee.state = .free
        entry.pointee.next = firstFree
        firstFree = id
    }

    /// In the order of the messages' IDs.
    func comesBefore(_ one: Int32, _ other: Int32) -> Bool {
        (self[one].share, self[one].index) < (self[other].share, self[other].index)
    }

    // MARK: Lists

    /// The list of those whose timeout has this length.
    func list(ofTimeout timeout: Int64) -> Int32 {
        if let place = lists.dropFirst(2).firstIndex(where: { $0.timeout == timeout }) {
            return Int32(place)
        }
        // A list nobody stands in serves the next length: there are no more than consumers.
        if let place = lists.dropFirst(2).firstIndex(where: { $0.count == 0 }) {
            lists[place].timeout = timeout
            return Int32(place)
        }
        return addList(ofTimeout: timeout)
    }

    private func addList(ofTimeout timeout: Int64) -> Int32 {
        let longer = UnsafeMutableBufferPointer<List>.allocate(capacity: lists.count + 1)
        let place = longer.moveInitialize(fromContentsOf: lists)
        longer.initializeElement(at: place, to: List(timeout: timeout))
        lists.deallocate()
        lists = longer
        return Int32(place)
    }

    /// Puts a delivery at a list's end, or before those that are due later.
    ///
    /// New ones are due last as a rule; only those of the longest timeout come in any order.
    @inline(__always)
    func append(_ id: Int32, to list: Int32) {
        let entry = entries + Int(id)
        var after = lists[Int(list)].last
        while after != Self.none, entries[Int(after)].due > entry.pointee.due {
            after = entries[Int(after)].previous
        }
        let before = after == Self.none ? lists[Int(list)].first : entries[Int(after)].next
        entry.pointee.list = list
        entry.pointee.previous = after
        entry.pointee.next = before
        if after == Self.none {
            lists[Int(list)].first = id
        } else {
            entries[Int(after)].next = id
        }
        if before == Self.none {
            lists[Int(list)].last = id
        } else {
            entries[Int(before)].previous = id
        }
        lists[Int(list)].count += 1
    }

    @inline(__always)
    func remove(_ id: Int32) {
        let entry = entries + Int(id)
        let list = Int(entry.pointee.list)
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
        entry.pointee.list = Self.noList
        entry.pointee.previous = Self.none
        entry.pointee.next = Self.none
        lists[list].count -= 1
    }

    /// When the first of all that have a timeout is due.
    var nextDue: Int64? {
        var earliest: Int64?
        for list in lists.dropFirst() where list.first != Self.none {
            earliest = min(earliest ?? .max, self[list.first].due)
        }
        return earliest
    }

    /// The first of those that have a timeout and whose time is up.
    func firstDue(at now: Int64) -> Int32? {
        lists.dropFirst().lazy.map(\.first).first { $0 != Self.none && self[$0].due <= now }
    }

    var firstWaiting: Int32? {
        let first = lists[Int(Self.waitingList)].first
        return first == Self.none ? nil : first
    }
}
