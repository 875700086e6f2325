import Foundation
import Logging
import NSQBroker
import NSQJobs
import NSQTesting
import TestKit
import TestTraits
import Testing

@Suite struct `The start of a worker` {
    @Test
    func `waits for all of its consumers, so that the first job has the highest priority`()
        async throws
    {
        try await withJobs { jobs, broker in
            for (number, priority) in JobPriority.allCases.reversed().enumerated() {
                try await jobs.enqueue(
                    Numbered(number: number), options: JobOptions(priority: priority))
                _ = try await broker.published(to: "jobs.default.\(priority)", count: 1)
            }
            // The consumer of the highest priority connects first, and is the last to be answered.
            broker.inject(.delayResponses(by: .milliseconds(300)).times(1))
            let recorder = Recorder()
            let worker = jobs.worker {
                $0.register(Numbered.self) { job, _ in recorder.record(job.number) }
            }
            try await withWorker(worker) {
                let counts = try await jobs.waitUntilEnded()
                #expect(counts[.completed] == 3)
            }
            #expect(recorder.all.first == 2)
        }
    }

    @Test func `does not wait for an nsqd that does not answer, beside another one`() async throws {
        let silent = try BlockingListener()
        try await withBroker { broker in
            var configuration = Jobs.Configuration()
            configuration.logger.logLevel = .critical
            let jobs = try await Jobs(
                store: .memory, nsqds: [broker.tcpAddress, silent.address],
                configuration: configuration)
            try await withWorker(jobs.worker { $0.register(Numbered.self) }) {
                let id = try await jobs.enqueue(Numbered(number: 1)).id
                _ = try await jobs.wait(for: id, .completed)
            }
            await jobs.stop()
        }
    }

    @Test func `is reported when the store knows the worker, and not if it fails`() async throws {
        try await withJobs { jobs, _ in
            let calls = Recorder()
            let failing = jobs.worker(concurrency: 0) { _ in }
            await #expect(throws: JobsError.self) { try await failing.run { calls.record(0) } }
            #expect(calls.all.isEmpty)
            let worker = jobs.worker { _ in }
            let started = Gate()
            let run = Task { try await worker.run { started.open() } }
            await started.wait()
            #expect(try await jobs.workers().count == 1)
            worker.stop()
            try await run.value
        }
    }

    @Test func `ends when the worker is stopped`() async throws {
        let silent = try BlockingListener()
        var configuration = Jobs.Configuration()
        configuration.logger.logLevel = .critical
        let jobs = try await Jobs(
            store: .memory, nsqd: silent.address, configuration: configuration)
        let worker = jobs.worker { $0.register(Numbered.self) }
        let run = Task { try await worker.run() }
        try await eventually("the worker is registered") { try await jobs.workers().count == 1 }
        worker.stop()
        try await run.value
        #expect(try await jobs.workers()[0].stoppedAt != nil)
        await jobs.stop()
    }
}
