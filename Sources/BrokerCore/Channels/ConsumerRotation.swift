/// The consumers of one channel, which receive messages in rotation.
final class ConsumerRotation {
    /// The consumers by slot. A slot is `nil` after its consumer has disconnected, until a new consumer
    /// takes it.
    private var slots: [Session?] = []
    private(set) var count = 0
    /// Slots that may be empty. The list contains every empty slot. Some of its entries can be
    /// outdated: the slot has a consumer again, or `slots` has become shorter.
    private var freeSlots: [Int] = []
    private var nextSlot = 0

    var slotCount: Int { slots.count }
    var sessions: [Session] { slots.compactMap { $0 } }

    subscript(slot: Int32) -> Session? { slots[Int(slot)] }

    /// Adds a consumer.
    ///
    /// - Returns: the slot of the added consumer.
    func add(_ session: Session) -> Int32 {
        let slot = removeFreeSlot()
        slots[slot] = session
        count += 1
        return Int32(slot)
    }

    /// Returns an empty slot, and adds one if all slots are occupied.
    private func removeFreeSlot() -> Int {
        while count < slots.count, let slot = freeSlots.popLast() {
            if slot < slots.count, slots[slot] == nil { return slot }
        }
        freeSlots = []
        slots.append(nil)
        return slots.count - 1
    }

    func remove(slot: Int32) {
        slots[Int(slot)] = nil
        freeSlots.append(Int(slot))
        while let last = slots.last, last == nil { slots.removeLast() }
        count -= 1
    }

    /// Advances the rotation to the next slot. The rotation must have at least one slot.
    ///
    /// - Returns: the consumer in the slot; `nil` if the slot is empty.
    func next() -> Session? {
        if nextSlot >= slots.count { nextSlot = 0 }
        defer { nextSlot += 1 }
        return slots[nextSlot]
    }
}
