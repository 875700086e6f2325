/// Steele, Lea and Flood's generator: tiny, quick, and the same everywhere for the same seed.
///
/// Bounded numbers and shuffling are done here and not by the standard library, which is free to
/// change how it draws them.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return mixed(state)
    }

    /// A number in `0..<bound`. Of 2⁶⁴ draws the bias moves `bound` at most: nothing, here.
    package mutating func next(below bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// A number from 0 up to, not including, 1.
    package mutating func nextFraction() -> Double {
        Double(next() >> 11) / Double(1 << 53 as UInt64)
    }

    package mutating func shuffle<Element>(_ elements: inout [Element]) {
        for last in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(last, next(below: last + 1))
        }
    }

    /// The `index`th GUID of a row that `seed` begins, in the shape of version 4. Two rows, or
    /// two places of one row, give the same GUID about as often as true randomness does.
    package static func guid(seed: UInt64, index: Int) -> GUID {
        var generator = SplitMix64(seed: mixed(seed) &+ UInt64(index) &* 0xD134_2543_DE82_EF95)
        let high = generator.next() & ~0xF000 | 0x4000
        let low = generator.next() & ~(0xC000 << 48) | 0x8000 << 48
        return GUID(high: high, low: low)
    }
}

private func mixed(_ value: UInt64) -> UInt64 {
    var mix = value
    mix = (mix ^ mix >> 30) &* 0xBF58_476D_1CE4_E5B9
    mix = (mix ^ mix >> 27) &* 0x94D0_49BB_1331_11EB
    return mix ^ mix >> 31
}
