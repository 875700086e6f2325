/// Numbers GUIDs in the order in which they first come: 0, 1, 2, …
///
/// Open addressing over an array: 20 bytes a GUID and what is free, where a dictionary of the
/// library takes twice that, and half as much again while it grows. For a million videos that is
/// what decides how much memory the processor takes.
package struct GUIDTable {
    package private(set) var guids: [GUID] = []
    // INVARIANT: a power of two, at most three of four places taken, by the number of a GUID and
    // one; and from a GUID's own place to where its number stands no place is empty.
    private var places: [UInt32]
    private let key: (UInt64, UInt64)

    package init(minimumCapacity: Int = 0) {
        var size = 16
        while size / 4 * 3 < minimumCapacity { size *= 2 }
        places = Array(repeating: 0, count: size)
        guids.reserveCapacity(minimumCapacity)
        key = (UInt64(truncatingIfNeeded: 1.hashValue), UInt64(truncatingIfNeeded: 2.hashValue))
    }

    package func number(of guid: GUID) -> Int? {
        let taken = places[place(of: guid)]
        return taken == 0 ? nil : Int(taken) - 1
    }

    /// - Returns: its number; that is `guids.count - 1` if it is new.
    package mutating func insert(_ guid: GUID) -> (number: Int, isNew: Bool) {
        let place = place(of: guid)
        let taken = places[place]
        guard taken == 0 else { return (Int(taken) - 1, false) }
        guids.append(guid)
        places[place] = UInt32(guids.count)
        if guids.count > places.count / 4 * 3 { grow() }
        return (guids.count - 1, true)
    }

    /// Where its number stands, or would.
    private func place(of guid: GUID) -> Int {
        var place = hash(guid) & (places.count - 1)
        while places[place] != 0, guids[Int(places[place]) - 1] != guid {
            place = (place + 1) & (places.count - 1)
        }
        return place
    }

    /// A product of both halves, each first mixed with what the library's hashing was seeded with
    /// at the start: whoever chooses GUIDs is not to choose ones that share a place.
    private func hash(_ guid: GUID) -> Int {
        let product = (guid.high ^ key.0).multipliedFullWidth(by: guid.low ^ key.1)
        return Int(truncatingIfNeeded: product.high ^ product.low)
    }

    private mutating func grow() {
        places = Array(repeating: 0, count: 2 * places.count)
        for number in guids.indices {
            var place = hash(guids[number]) & (places.count - 1)
            while places[place] != 0 { place = (place + 1) & (places.count - 1) }
            places[place] = UInt32(number + 1)
        }
    }
}
