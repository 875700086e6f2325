import NSQJobs
import NSQTesting
import TallyBasics
import TestTraits
import Testing

@Suite struct `The pruning of ended jobs` {
    @Test func `deletes by age and number in the process of the relay, and keeps the others`()
        async throws
    {
        var pruning = JobPruning()
        pruning.completed = .init(maxCount: 7)
        pruning.cancelled = .init(maxAge: .zero)
        pruning.discarded = .init(maxAge: .seconds(3600))
        pruning.interval = .milliseconds(10)
        try await withJobs(configure: { $0.pruning = pruning }) { jobs, _ in
            let ids = try await jobs.enqueue(contentsOf: (0..<30).map { Numbered(number: $0) })
            let held = try await jobs.enqueue(
                contentsOf: [Numbered(number: 90), Numbered(number: 91)],
                options: JobOptions(queue: "other"))
            try await jobs.cancel(held[0].id)
            try await jobs.discard(held[1].id)
            try await withWorker(jobs.worker { $0.register(Numbered.self) }) {
                try await eventually("the oldest jobs are deleted") {
                    let counts = try await jobs.counts()
                    return counts.first { $0.queue == "default" }?[.completed] == 7
                        && counts.first { $0.queue == "default" }?.unfinished == 0
                        && counts.first { $0.queue == "other" }?[.cancelled] == 0
                }
            }
            let page = try await jobs.jobs(matching: JobQuery(queue: "default"))
            #expect(page.jobs.map(\.id) == ids.suffix(7).map(\.id).reversed())
            #expect(try await jobs.status(of: held[0].id) == nil)
            #expect(try await jobs.status(of: held[1].id)?.state == .discarded)
        }
    }

    @Test func `has bounds for its settings`() async throws {
        try await withJobs { _, broker in
            func code(_ change: (inout JobPruning) -> Void) async -> JobsError.Code? {
                var configuration = Jobs.Configuration()
                change(&configuration.pruning)
                do throws(JobsError) {
                    await
                        (try Jobs(
                            store: .memory, nsqd: broker.tcpAddress, configuration: configuration
                        )).stop()
                } catch {
                    return error.code
                }
                return nil
            }
            for interval in [Duration.milliseconds(10), .seconds(86_400)] {
                #expect(await code { $0.interval = interval } == nil)
            }
            for interval in [Duration.milliseconds(9), .seconds(86_401)] {
                #expect(await code { $0.interval = interval } == .invalidOption)
            }
            #expect(await code { $0.completed.maxAge = .seconds(-1) } == .invalidOption)
            #expect(await code { $0.discarded.maxCount = -1 } == .invalidOption)
            #expect(await code { $0 = .none } == nil)
        }
    }
}
