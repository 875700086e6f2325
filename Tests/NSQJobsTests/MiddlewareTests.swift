import Logging
import NSQJobs
import TestTraits
import Testing
import UVLoop

@Suite struct `Middleware of jobs` {
    /// Records the calls in order, and changes the jobs that it prepares.
    private struct Tracer: JobMiddleware {
        let name: String
        let calls: LockedValue<[String]>

        private func record(_ call: String) { calls.withLock { $0.append("\(name) \(call)") } }

        func prepare(_ job: inout NewJob) throws(JobsError) {
            guard job.name != "Unregistered" else { throw JobsError(.invalidName, "refused") }
            job.options.tags.append(name)
        }

        func enqueue(
            _ jobs: [NewJob],
            _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
        ) async throws(JobsError) -> [EnqueueReceipt] {
            record("enqueues \(jobs.count)")
            let receipts = try await next(jobs)
            record("enqueued")
            return receipts
        }

        func perform(
            _ context: JobContext, _ next: (JobContext) async throws -> Void
        ) async throws {
            record("performs")
            defer { record("ended") }
            try await next(context)
        }
    }

    private let calls = LockedValue<[String]>([])

    private var two: [any JobMiddleware] {
        [Tracer(name: "outer", calls: calls), Tracer(name: "inner", calls: calls)]
    }

    @Test func `prepares the jobs of batches, their callbacks and the jobs of schedules`()
        async throws
    {
        let jobs = try await Jobs.manual(middleware: two)
        let (_, receipts) = try await jobs.enqueueBatch(
            [NewJob(name: "member")], then: NewJob(name: "callback"))
        #expect(try await jobs.status(of: receipts[0].id)?.tags == ["outer", "inner"])
        #expect(calls.withLock { $0 }.first == "outer enqueues 1")
        try await jobs.schedule(
            CronSchedule(
                name: "nightly", CronExpression("0 3 * * *"),
                job: NewJob(name: "report")))
        #expect(try await jobs.schedules()[0].job.options.tags == ["outer", "inner"])
        let refused = NewJob(name: "Unregistered")
        for (members, callback) in [([refused], nil), ([], refused)] as [([NewJob], NewJob?)] {
            let error = await #expect(throws: JobsError.self) {
                try await jobs.enqueueBatch(members, then: callback)
            }
            #expect(error?.reason.contains("refused") == true)
        }
        await jobs.stop()
    }

    @Test func `is called around each enqueue and each attempt, the first one outermost`()
        async throws
    {
        let jobs = try await Jobs.manual(middleware: two)
        let receipts = try await jobs.enqueue(contentsOf: [Numbered(number: 1)])
        let job = try await jobs.status(of: receipts[0].id)
        #expect(job?.tags == ["outer", "inner"])
        _ = try await jobs.drain { $0.register(Numbered.self) }
        #expect(
            calls.withLock { $0 } == [
                "outer enqueues 1", "inner enqueues 1", "inner enqueued", "outer enqueued",
                "outer performs", "inner performs", "inner ended", "outer ended",
            ])
        await jobs.stop()
    }

    @Test func `refuses a job, and all others of the same call`() async throws {
        let jobs = try await Jobs.manual(middleware: two)
        let error = await #expect(throws: JobsError.self) {
            try await jobs.enqueue(contentsOf: [NewJob(name: "a"), NewJob(name: "Unregistered")])
        }
        #expect(error?.reason == "refused")
        #expect(try await jobs.counts().isEmpty)
        await jobs.stop()
    }

    @Test func `decides about an attempt by what it throws`() async throws {
        struct Closed: JobMiddleware {
            func perform(
                _ context: JobContext, _ next: (JobContext) async throws -> Void
            ) async throws {
                throw JobInterruption.snooze(.seconds(60))
            }
        }
        let jobs = try await Jobs.manual(middleware: [Closed()])
        let id = try await jobs.enqueue(Numbered(number: 1)).id
        _ = try await jobs.drain { $0.register(Numbered.self) }
        let job = try await jobs.status(of: id)
        #expect(job?.state == .scheduled && job?.attempt == 0)
        await jobs.stop()
    }

    @Test func `must return a receipt for each job`() async throws {
        struct Silent: JobMiddleware {
            func enqueue(
                _ jobs: [NewJob],
                _ next: ([NewJob]) async throws(JobsError) -> [EnqueueReceipt]
            ) async throws(JobsError) -> [EnqueueReceipt] { [] }
        }
        let jobs = try await Jobs.manual(middleware: [Silent()])
        let error = await #expect(throws: JobsError.self) {
            try await jobs.enqueue(Numbered(number: 1))
        }
        #expect(error?.reason == "a middleware has returned 0 receipts for 1 jobs")
        await jobs.stop()
    }

    @Test func `of a worker logs the end of each attempt`() async throws {
        let lines = LockedValue<[String]>([])
        try await withJobs(configure: { configuration in
            configuration.middleware = [JobLogging()]
            configuration.logger = Logger(label: "test") { _ in ListLog(lines: lines) }
        }) { jobs, _ in
            struct Failure: Error, CustomStringConvertible { let description = "no route" }
            let worker = jobs.worker {
                $0.register(Numbered.self) { job, _ in if job.number == 2 { throw Failure() } }
            }
            try await withWorker(worker) {
                let options = JobOptions(maxAttempts: 1)
                let ids = try await jobs.enqueue(
                    contentsOf: [1, 2].map { Numbered(number: $0) }, options: options)
                _ = try await jobs.wait(for: ids[0].id, .completed)
                _ = try await jobs.wait(for: ids[1].id, .discarded)
            }
        }
        let all = lines.withLock { $0 }
        #expect(all.contains { $0.hasPrefix("info 1: the job completed after ") })
        #expect(all.contains { $0.hasPrefix("warning 2:") && $0.hasSuffix(": no route") })
    }
}
