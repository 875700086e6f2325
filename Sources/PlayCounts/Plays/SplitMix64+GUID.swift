import TallyBasics

extension SplitMix64 {
    /// A pseudo-random GUID with the version and variant bits of UUID version 4. A different seed
    /// or index yields a different GUID, except for random collisions.
    package static func guid(seed: UInt64, index: Int) -> GUID {
        var generator = SplitMix64(seed: mix(seed) &+ UInt64(index) &* 0xD134_2543_DE82_EF95)
        let high = generator.next() & ~0xF000 | 0x4000
        let low = generator.next() & ~(0xC000 << 48) | 0x8000 << 48
        return GUID(high: high, low: low)
    }
}
