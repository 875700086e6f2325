import GRDB
import NSQJobs
import TestTraits
import Testing

@Suite struct `The trace context of a job` {
    private let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func `is stored with the job, and reaches its attempt`() async throws {
        let jobs = try await Jobs.manual()
        var new = NewJob(name: "n")
        new.traceContext = ["traceparent": parent, "tracestate": "a=1"]
        let id = try await jobs.enqueue(new).id
        #expect(try await jobs.status(of: id)?.traceContext == new.traceContext)
        _ = try await jobs.drain {
            $0.registerFallback { context in
                #expect(context.job.traceContext["traceparent"] == parent)
            }
        }
        _ = try await jobs.enqueueBatch([], then: new)
        let callback = try #require(try await jobs.jobs().jobs.first)
        #expect(callback.traceContext == new.traceContext)
        await jobs.stop()
    }

    /// Gives a context to each job that has none, as `JobTracing` does.
    private struct Tracer: JobMiddleware {
        func prepare(_ job: inout NewJob) throws(JobsError) {
            if job.traceContext.isEmpty { job.traceContext = ["a": "b"] }
        }
    }

    @Test func `of a schedule or a callback is the one that the caller has set`() async throws {
        let jobs = try await Jobs.manual(middleware: [Tracer()])
        var new = NewJob(name: "n")
        for context in [[:], ["traceparent": parent]] {
            new.traceContext = context
            try await jobs.schedule(
                CronSchedule(name: "s", CronExpression("* * * * *"), job: new))
            #expect(try await jobs.schedules()[0].job.traceContext == context)
            _ = try await jobs.enqueueBatch([], then: new)
            #expect(try await jobs.jobs().jobs.first?.traceContext == context)
        }
        #expect(try await jobs.enqueue(NewJob(name: "n")).kind == .new)
        #expect(try await jobs.jobs().jobs.first?.traceContext == ["a": "b"])
        await jobs.stop()
    }

    @Test func `is in the message of a fleeting job`() {
        var job = NewJob(name: "n")
        job.traceContext = ["traceparent": parent]
        let message = FleetingMessage(job, id: JobID(.max), createdAt: JobTime(microseconds: 5))
        let topic = JobTopic(queue: "default", priority: .normal)
        let parsed = message.body.withUnsafeBytes { FleetingMessage(parsing: $0, of: topic) }
        #expect(parsed == message)
    }

    @Test func `is not stored if it is too large, so that the job is enqueued in any case`()
        async throws
    {
        let jobs = try await Jobs.manual()
        var new = NewJob(name: "n")
        new.traceContext = ["a": String(repeating: "x", count: 3_000)]
        let large = try await jobs.enqueue(new).id
        #expect(try await jobs.status(of: large)?.traceContext.isEmpty == true)
        new.traceContext = Dictionary(uniqueKeysWithValues: (0..<17).map { ("\($0)", "x") })
        let many = try await jobs.enqueue(new).id
        #expect(try await jobs.status(of: many)?.traceContext.isEmpty == true)
        await jobs.stop()
    }

    @Test func `that somebody has changed in the store is as good as none`() async throws {
        let queue = try DatabaseQueue()
        let store = Jobs.Store.sqlite(in: queue, requiresSync: false)
        let jobs = try await Jobs.manual(store: store)
        let id = try await jobs.enqueue(NewJob(name: "n")).id
        try await queue.write { try $0.execute(sql: "UPDATE nsq_jobs_job SET trace_context = '{'") }
        #expect(try await jobs.status(of: id)?.traceContext.isEmpty == true)
        await jobs.stop()
    }

    @Test func `is read from the header of an HTTP request if it is valid`() {
        #expect(TraceContext.w3c(parent: parent, state: nil) == ["traceparent": parent])
        #expect(
            TraceContext.w3c(parent: parent, state: "a=1")
                == ["traceparent": parent, "tracestate": "a=1"])
        let invalid = [
            "", "00", parent + "-", parent.uppercased(), "01" + parent.dropFirst(2),
            "00-\(String(repeating: "0", count: 32))-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", parent + "é",
        ]
        for text in invalid {
            #expect(TraceContext.w3c(parent: text, state: "a=1").isEmpty, "\(text)")
        }
        #expect(TraceContext.w3c(parent: nil, state: "a=1").isEmpty)
    }
}
