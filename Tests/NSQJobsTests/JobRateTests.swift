import Foundation
import Logging
import NSQJobs
import NSQJobsEmbedded
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

/// Measures the rates with 100,000 jobs, and prints them: `JOB_RATES=100000 swift test -c release
/// --filter 'rate of fleeting'`
@Suite(.blocking) struct `The rate of fleeting jobs` {
    private struct Nothing: Job {
        var number: Int

        func perform(_ context: JobContext) async throws {}
    }

    private static let count =
        ProcessInfo.processInfo.environment["JOB_RATES"].flatMap { Int($0) } ?? 0

    @Test(.enabled(if: count > 0)) func `is higher than that of tracked jobs`() async throws {
        let tracked = try await rates(.tracked)
        let fleeting = try await rates(.fleeting)
        print("stored and performed per second: tracked \(tracked), fleeting \(fleeting)")
        #expect(fleeting.performed > tracked.performed)
    }

    private func rates(_ grade: JobGrade) async throws -> (enqueued: Int, performed: Int) {
        let folder = try TemporaryFolder()
        var configuration = Jobs.Configuration()
        configuration.logger.logLevel = .critical
        let jobs = try await Jobs(
            store: .sqlite(folder.path("jobs.sqlite")), nsqd: .embedded,
            configuration: configuration)
        let ended = LockedValue(0)
        let clock = ContinuousClock()
        var begin = clock.now
        try await jobs.enqueue(
            contentsOf: (0..<Self.count).map { Nothing(number: $0) },
            options: JobOptions(grade: grade))
        let enqueued = rate(since: begin, clock)
        begin = clock.now
        let worker = jobs.worker(concurrency: 64) {
            $0.register(Nothing.self) { _, _ in ended.withLock { $0 += 1 } }
        }
        try await withWorker(worker) {
            try await eventually("all jobs have run") { ended.withLock { $0 } >= Self.count }
        }
        let performed = rate(since: begin, clock)
        await jobs.stop()
        return (enqueued, performed)
    }

    private func rate(since begin: ContinuousClock.Instant, _ clock: ContinuousClock) -> Int {
        Int(Double(Self.count) / ((clock.now - begin) / .seconds(1)))
    }
}
