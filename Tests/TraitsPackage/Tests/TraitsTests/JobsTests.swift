import Logging
import MetricsTestKit
import NSQClient
import NSQJobs
import NSQJobsEmbedded
import ServiceLifecycle
import Testing
import Tracing

@Suite(.timeLimit(.minutes(5))) struct `Jobs with all traits` {
    struct Greet: Job {
        static let options = JobOptions(queue: "greetings", maxAttempts: 1)
        var name: String

        func perform(_ context: JobContext) async throws {
            guard !name.isEmpty else { throw JobInterruption.discard("nobody") }
        }
    }

    struct Fail: Job {
        struct Failure: Error {}

        func perform(_ context: JobContext) async throws { throw Failure() }
    }

    @Test func `are services, which stop gracefully, and are counted and traced`() async throws {
        let (metrics, tracer) = (Systems.metrics, Systems.tracer)
        let jobs = try await Jobs(store: .memory, nsqd: .embedded)
        let worker = jobs.worker(queues: ["greetings", "default"]) {
            $0.register(Greet.self)
            $0.register(Fail.self)
        }
        let group = ServiceGroup(services: [jobs, worker], logger: Logger(label: "test"))
        let run = Task { try await group.run() }
        let done = try await jobs.enqueue(Greet(name: "Ada")).id
        let discarded = try await jobs.enqueue(Greet(name: "")).id
        let failed = try await jobs.enqueue(Fail(), options: JobOptions(maxAttempts: 1)).id
        for (id, state) in [
            (done, JobState.completed), (discarded, .discarded), (failed, .discarded),
        ] {
            while try await jobs.status(of: id)?.state != state {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        await group.triggerGracefulShutdown()
        try await run.value

        let greetings = [("queue", "greetings"), ("name", "Greet")]
        for (name, count) in [("enqueued", 2), ("completed", 1), ("interrupted", 1)] {
            let counter = try metrics.expectCounter("nsq.jobs.\(name)", greetings)
            #expect(counter.totalValue == Int64(count), "\(name)")
        }
        let failures = try metrics.expectCounter(
            "nsq.jobs.failed", [("queue", "default"), ("name", "Fail")])
        #expect(failures.totalValue == 1)
        for name in ["perform", "wait"] {
            let timer = try metrics.expectTimer("nsq.jobs.\(name).duration", greetings)
            #expect(timer.values.count == 2)
        }
        let spans = tracer.finishedSpans
        #expect(spans.filter { $0.operationName == "enqueue Greet" }.count == 2)
        #expect(spans.filter { $0.operationName == "perform Greet" }.count == 2)
        let failure = try #require(spans.first { $0.operationName == "perform Fail" })
        #expect(failure.errors.count == 1)
        // The attempt belongs to the trace of its enqueue.
        let enqueue = try #require(spans.first { $0.operationName == "enqueue Fail" })
        #expect(failure.spanContext.parentSpanID == enqueue.spanContext.spanID)
        #expect(failure.spanContext.traceID == enqueue.spanContext.traceID)
    }
}
