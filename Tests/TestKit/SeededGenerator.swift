import Foundation
import TallyBasics

/// A `SplitMix64` that keeps its seed, so that a failed test can print the command that repeats it.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    package let seed: UInt64
    private var generator: SplitMix64

    package init(seed: UInt64) {
        self.seed = seed
        generator = SplitMix64(seed: seed)
    }

    /// Starts from the seed in `TALLY_SEED`, or from a random one if the variable is not set.
    package init() {
        let given = ProcessInfo.processInfo.environment["TALLY_SEED"].flatMap { UInt64($0) }
        self.init(seed: given ?? UInt64.random(in: 1...999_999))
    }

    /// The one command that repeats a failed run of the tests whose names `filter` matches.
    package func repetition(of filter: String) -> String {
        "repeat with: TALLY_SEED=\(seed) swift test --filter \(filter)"
    }

    package mutating func next() -> UInt64 { generator.next() }
}
