import Foundation
import TestKit
import Testing

@Suite struct `The broker and a model of NSQ` {
    /// Each world has few topics and clients, so that all combinations of events occur.
    static let steps = 400
    static let seeds: [UInt64] =
        ProcessInfo.processInfo.environment["TALLY_SEED"].flatMap(UInt64.init).map { [$0] }
        ?? (0..<200).map { [first = SeededGenerator().seed] in first + $0 }

    @Test(arguments: 0..<4)
    func `agree after random commands and events`(quarter: Int) {
        for seed in Self.seeds where Int(seed % 4) == quarter {
            guard let failure = failure(seed: seed) else { continue }
            let again = SeededGenerator(seed: seed).repetition(of: "BrokerCoreTests.ModelTests")
            Issue.record("\(failure); \(again)")
            return
        }
    }

    /// Runs the world of a seed.
    ///
    /// - Returns: the failure with its step; `nil` if there is none.
    private func failure(seed: UInt64) -> String? {
        let world = World(seed: seed)
        for step in 1...Self.steps {
            world.step()
            if step % 10 == 0 { world.expectSameCounts() }
            if let failure = world.failure { return "step \(step): \(failure)" }
        }
        world.finishEverything()
        return world.failure.map { "at the end: \($0)" }
    }
}
