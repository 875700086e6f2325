import Foundation
import TestKit
import Testing

/// Runs `TALLY_SEEDS`: one seed, or `from-to`, or as many as come after one picked at random.
@Suite struct `A broker on a bad disk, a bad network, and with a short life` {
    static let steps = 150

    static var seeds: Range<UInt64> {
        let text = ProcessInfo.processInfo.environment["TALLY_SEEDS"] ?? "1-60"
        let numbers = text.split(separator: "-").compactMap { UInt64($0) }
        guard numbers.count == 2 else { return numbers[0]..<numbers[0] + 1 }
        return numbers[0]..<numbers[1] + 1
    }

    @Test(arguments: 0..<2)
    func `keeps what it promised`(part: UInt64) {
        for seed in Self.seeds where seed % 2 == part {
            let world = Self.run(seed)
            guard let failure = world.failure else { continue }
            let again = Self.run(seed, isTracing: true)
            Issue.record(
                """
                seed \(seed): \(failure)
                repeat with: TALLY_SEEDS=\(seed) swift test --filter BrokerSimulation
                \(Self.seeds.count == 1 ? again.story : again.beginning)
                """)
            return
        }
    }

    private static func run(_ seed: UInt64, isTracing: Bool = false) -> World {
        let world = World(seed: seed)
        world.isTracing = isTracing
        for _ in 1...steps where world.failure == nil { world.step() }
        if world.failure == nil { world.finish() }
        return world
    }
}

extension World {
    fileprivate var story: String { trace.joined(separator: "\n") }
    fileprivate var beginning: String { trace.prefix(20).joined(separator: "\n") }
}
