import Foundation
import Testing

/// The seeds of randomized tests: a few fixed ones, or the one in `TALLY_SEED`.
enum Seeds {
    static let all: [UInt64] =
        ProcessInfo.processInfo.environment["TALLY_SEED"].flatMap(UInt64.init).map { [$0] }
        ?? [1, 2, 3, 5, 8]

    /// The comment of a failure, with the command that repeats it.
    static func comment(_ seed: UInt64, _ what: String = "") -> Comment {
        "\(what)\nrepeat with: TALLY_SEED=\(seed) swift test --filter PlayCountsTests"
    }
}
