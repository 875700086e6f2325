/// Removed files of a journal that others are made of: their bytes are in the system's memory and
/// have their places on the disk, so that writing over them costs half of what new ones do, and a
/// small part of it where the system has memory to clear first. Nor has the system to give all that
/// back, which takes tens of milliseconds for each.
struct SpareFiles {
    struct Spare: Equatable {
        /// Of the file that it was.
        var number: UInt32
        var descriptor: Int32
        var byteCount: Int
        /// That file is gone for good: it does not come back after a power cut, half written over.
        var isGone = false

        var name: String { SpareFiles.prefix + String(number) }
    }

    /// The oldest first.
    private(set) var all: [Spare] = []
    /// How many there have been at least since idle ones were asked for.
    private var least = 0

    static let prefix = "journal.spare."
    /// What they take at most: as much as a second's publishing.
    static let maxBytes = 1 << 30
    /// Each has a descriptor open.
    static let most = 64
    /// A smaller file is not worth it.
    static let minBytes = 1 << 20

    var byteCount: Int { all.reduce(0) { $0 + $1.byteCount } }

    /// The one that the next file is to be made of: the last, as it is the likeliest to be in the
    /// system's memory.
    var next: Spare? { all.last(where: \.isGone) }

    func hasUse(for byteCount: Int) -> Bool {
        byteCount >= Self.minBytes && self.byteCount + byteCount <= Self.maxBytes
            && all.count < Self.most
    }

    mutating func append(_ spare: Spare) { all.append(spare) }

    mutating func remove(_ spare: Spare) {
        all.removeAll { $0 == spare }
        least = min(least, all.count)
    }

    /// All that there are by now are gone for good once a sync that begins now is done.
    mutating func syncEnded(_ numbers: Set<UInt32>) {
        for place in all.indices where numbers.contains(all[place].number) {
            all[place].isGone = true
        }
    }

    /// Those whose going was not known to be durable when a sync failed: no later one tells of it.
    mutating func removeDoubtful() -> [Spare] {
        defer {
            all.removeAll { !$0.isGone }
            least = min(least, all.count)
        }
        return all.filter { !$0.isGone }
    }

    /// Those that were not needed since this was called last.
    mutating func removeIdle() -> [Spare] {
        let idle = Array(all.prefix(least))
        all.removeFirst(idle.count)
        least = all.count
        return idle
    }

    mutating func removeAll() -> [Spare] {
        defer { self = SpareFiles() }
        return all
    }
}
