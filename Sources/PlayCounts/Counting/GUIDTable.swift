/// Assigns the indices 0, 1, 2, … to GUIDs in the order of their insertion.
///
/// It is a hash table with open addressing and linear probing. It takes 20 bytes per GUID, plus the
/// free slots. A `Dictionary` takes twice as much memory, and three times as much while it grows.
/// The difference matters, because with a million videos this table is most of the processor's
/// memory.
package struct GUIDTable {
    /// The GUIDs by index.
    package private(set) var guids: [GUID] = []
    // INVARIANT: a slot contains 0 if it is empty, else the index of a GUID plus one. The number of
    // slots is a power of two, and at most three quarters of them are in use. From the slot that a
    // GUID's hash selects to the slot with its index, no slot is empty.
    private var slots: [UInt32]
    private let key: (UInt64, UInt64)

    package init(minimumCapacity: Int = 0) {
        var size = 16
        while size / 4 * 3 < minimumCapacity { size *= 2 }
        slots = Array(repeating: 0, count: size)
        guids.reserveCapacity(minimumCapacity)
        key = (UInt64(truncatingIfNeeded: 1.hashValue), UInt64(truncatingIfNeeded: 2.hashValue))
    }

    /// The index of a GUID, or `nil` if the table does not contain it.
    package func index(of guid: GUID) -> Int? {
        let entry = slots[slot(for: guid)]
        return entry == 0 ? nil : Int(entry) - 1
    }

    /// Inserts a GUID, unless the table contains it.
    ///
    /// - Returns: the index of the GUID, and `true` if it was inserted.
    package mutating func insert(_ guid: GUID) -> (index: Int, isNew: Bool) {
        let slot = slot(for: guid)
        let entry = slots[slot]
        guard entry == 0 else { return (Int(entry) - 1, false) }
        guids.append(guid)
        slots[slot] = UInt32(guids.count)
        if guids.count > slots.count / 4 * 3 { grow() }
        return (guids.count - 1, true)
    }

    /// The slot with the GUID's index, or the empty slot for it.
    private func slot(for guid: GUID) -> Int {
        var slot = hash(guid) & (slots.count - 1)
        while slots[slot] != 0, guids[Int(slots[slot]) - 1] != guid {
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    /// The hash of a GUID: the product of its halves. Each half is first XORed with a random value,
    /// so that an attacker cannot choose GUIDs that share a slot.
    private func hash(_ guid: GUID) -> Int {
        let product = (guid.high ^ key.0).multipliedFullWidth(by: guid.low ^ key.1)
        return Int(truncatingIfNeeded: product.high ^ product.low)
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: 2 * slots.count)
        for index in guids.indices {
            var slot = hash(guids[index]) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(index + 1)
        }
    }
}
