import Foundation

/// Random numbers that come again with the same seed (SplitMix64).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    package let seed: UInt64
    private var state: UInt64

    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// Starts from `TALLY_SEED` if the environment has one, else anywhere.
    package init() {
        let given = ProcessInfo.processInfo.environment["TALLY_SEED"].flatMap { UInt64($0) }
        self.init(seed: given ?? UInt64.random(in: 1...999_999))
    }

    /// The one command that repeats a failed run of the tests whose names `filter` matches.
    package func repetition(of filter: String) -> String {
        "repeat with: TALLY_SEED=\(seed) swift test --filter \(filter)"
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
