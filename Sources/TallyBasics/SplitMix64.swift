/// A small, fast pseudo-random number generator that produces the same sequence for the same seed.
///
/// The type has its own methods for bounded numbers and shuffling, because the algorithms of the
/// standard library may change.
///
/// - SeeAlso: Steele, Lea and Flood, “Fast splittable pseudorandom number generators”, 2014.
@usableFromInline
package struct SplitMix64: RandomNumberGenerator, Sendable {
    @usableFromInline var state: UInt64

    /// Creates a generator.
    ///
    /// - Parameter seed: any number, which determines the whole sequence of random numbers.
    @inlinable
    package init(seed: UInt64) {
        state = seed
    }

    /// Returns the next 64 random bits.
    @inlinable
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    /// Returns a random number in `0..<bound`. The probability of each number deviates from 1 /
    /// `bound` by less than 2⁻⁶⁴.
    @inlinable
    package mutating func next(below bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// Returns a random number in `0..<1`.
    @inlinable
    package mutating func nextFraction() -> Double {
        Double(next() >> 11) / Double(1 << 53 as UInt64)
    }

    /// Shuffles `elements` in place.
    @inlinable
    package mutating func shuffle<Element>(_ elements: inout [Element]) {
        for last in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(last, next(below: last + 1))
        }
    }

    /// Returns the output of SplitMix64 for the state `value`: a bijection in which every bit of
    /// `value` affects all bits of the result.
    @inlinable
    package static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
