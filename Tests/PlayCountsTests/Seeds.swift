import Foundation
import Testing

/// The seeds of the tests that leave something to chance: a few fixed ones, or one of your own.
enum Seeds {
    static let all: [UInt64] =
        ProcessInfo.processInfo.environment["TALLY_SEED"].flatMap(UInt64.init).map { [$0] }
        ?? [1, 2, 3, 5, 8]

    /// What a failure prints beside what went wrong.
    static func again(_ seed: UInt64, _ what: String = "") -> Comment {
        "\(what)\nagain: TALLY_SEED=\(seed) swift test --filter PlayCountsTests"
    }
}
