import Foundation
import NSQJobs
import TallyBasics
import TestKit
import TestTraits
import Testing

/// `JOB_SIMULATION_SEEDS=10000` runs that many seeds; `TALLY_SEED` chooses the first.
@Suite(.blocking) struct `A simulation of jobs with faults` {
    @Test func `brings every committed job to an end, and never runs one twice at once`()
        async throws
    {
        let first = SeededGenerator()
        let count =
            ProcessInfo.processInfo.environment["JOB_SIMULATION_SEEDS"].flatMap { UInt64($0) }
            ?? 100
        for seed in first.seed..<first.seed + count {
            let leases = ManualLeaseClock()
            let simulation = JobSimulation(seed: seed, ModelJobStore(leases), leases)
            try await run(simulation, seed)
        }
    }

    @Test func `has the same result with the store in SQLite`() async throws {
        let first = SeededGenerator()
        for seed in first.seed..<first.seed + 3 {
            let leases = ManualLeaseClock()
            let store = try SimulatedSQLiteStore(leases)
            try await run(JobSimulation(seed: seed, store, leases), seed)
        }
    }

    @Test func `finds a store that takes jobs from live workers`() async throws {
        var violations = 0
        for seed in 1...UInt64(20) {
            let leases = ManualLeaseClock()
            let store = ModelJobStore(leases, takesFromLiveWorkers: true)
            do {
                try await JobSimulation(seed: seed, store, leases).run(steps: 120)
            } catch is JobSimulation.Violation {
                violations += 1
            }
        }
        #expect(violations > 0)
    }

    private func run(_ simulation: JobSimulation, _ seed: UInt64) async throws {
        do {
            try await simulation.run(steps: 120)
        } catch let violation as JobSimulation.Violation {
            Issue.record(
                "\(violation); repeat with: TALLY_SEED=\(seed) swift test --filter 'simulation of jobs'"
            )
        }
    }
}
