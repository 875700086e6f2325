/// Fingerprints in open addressing: 16 bytes a place, at most three of four places taken, no
/// pointers and no hashing, for fingerprints are hashes already.
struct FingerprintSet {
    private(set) var count = 0
    // INVARIANT: a power of two, and from a fingerprint's own place to where it stands no place is
    // empty.
    private var places: [Fingerprint]

    init(minimumCapacity: Int = 0) {
        var size = 16
        while size / 4 * 3 < minimumCapacity { size *= 2 }
        places = Array(repeating: .none, count: size)
    }

    func contains(_ fingerprint: Fingerprint) -> Bool {
        places[place(of: fingerprint)] == fingerprint
    }

    /// - Returns: whether it is new.
    mutating func insert(_ fingerprint: Fingerprint) -> Bool {
        let place = place(of: fingerprint)
        guard places[place] != fingerprint else { return false }
        places[place] = fingerprint
        count += 1
        if count > places.count / 4 * 3 { grow() }
        return true
    }

    /// Where it stands, or where it would.
    private func place(of fingerprint: Fingerprint) -> Int {
        var place = fingerprint.bits & (places.count - 1)
        while places[place] != .none, places[place] != fingerprint {
            place = (place + 1) & (places.count - 1)
        }
        return place
    }

    private mutating func grow() {
        let old = places
        places = Array(repeating: .none, count: 2 * old.count)
        for fingerprint in old where fingerprint != .none {
            places[place(of: fingerprint)] = fingerprint
        }
    }
}
