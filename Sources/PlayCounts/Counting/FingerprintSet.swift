/// A set of fingerprints, as a hash table with open addressing and linear probing.
///
/// A slot takes 16 bytes, and at most three quarters of the slots are in use. A fingerprint is
/// itself a hash, so its low bits select the slot.
struct FingerprintSet {
    private(set) var count = 0
    // INVARIANT: the number of slots is a power of two. From the slot that a fingerprint's bits
    // select to the slot that contains it, no slot is empty.
    private var slots: [Fingerprint]

    init(minimumCapacity: Int = 0) {
        var size = 16
        while size / 4 * 3 < minimumCapacity { size *= 2 }
        slots = Array(repeating: .none, count: size)
    }

    /// Returns `true` if the set contains the fingerprint.
    func contains(_ fingerprint: Fingerprint) -> Bool {
        slots[slot(for: fingerprint)] == fingerprint
    }

    /// Inserts the fingerprint, and returns `true` if it is new.
    mutating func insert(_ fingerprint: Fingerprint) -> Bool {
        let slot = slot(for: fingerprint)
        guard slots[slot] != fingerprint else { return false }
        slots[slot] = fingerprint
        count += 1
        if count > slots.count / 4 * 3 { grow() }
        return true
    }

    /// The slot that contains the fingerprint, or the empty slot for it.
    private func slot(for fingerprint: Fingerprint) -> Int {
        var slot = fingerprint.bits & (slots.count - 1)
        while slots[slot] != .none, slots[slot] != fingerprint {
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: .none, count: 2 * old.count)
        for fingerprint in old where fingerprint != .none {
            slots[slot(for: fingerprint)] = fingerprint
        }
    }
}
