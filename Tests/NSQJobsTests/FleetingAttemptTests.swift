import GRDB
import Logging
import NSQJobs
import NSQTesting
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite struct `An attempt of a fleeting job` {
    /// A job with a number, as ``Numbered``, but fleeting: it is not stored.
    private struct Fleeting: Job {
        static let options = JobOptions(maxAttempts: 3, grade: .fleeting)
        var number: Int

        func perform(_ context: JobContext) async throws {}
    }

    private let lines = LockedValue<[String]>([])

    private var logged: (inout Jobs.Configuration) -> Void {
        { [lines] in $0.logger = Logger(label: "test") { _ in ListLog(lines: lines) } }
    }

    private func lineCount(_ text: String) -> Int {
        lines.withLock { $0.count { $0.contains(text) } }
    }

    @Test func `is not used while the job waits for a slot of its worker`() async throws {
        try await withJobs { jobs, broker in
            for (number, priority) in [(1, JobPriority.high), (2, .low)] {
                var options = Fleeting.options
                options.priority = priority
                try await jobs.enqueue(Fleeting(number: number), options: options)
                _ = try await broker.published(to: "jobs.default.\(priority)", count: 1)
            }
            let (recorder, attempts) = (Recorder(), Recorder())
            let worker = jobs.worker {
                $0.register(Fleeting.self) { job, context in
                    recorder.record(job.number)
                    attempts.record(context.attempt)
                    // Longer than the time between two checks of the waiting messages.
                    if job.number == 1 { try await Task.sleep(for: .milliseconds(200)) }
                }
            }
            try await withWorker(worker) {
                try await eventually("both jobs have run") { recorder.all.count == 2 }
            }
            #expect(recorder.all == [1, 2] && attempts.all == [1, 1])
        }
    }

    @Test func `is not used by a worker without a handler, which logs that`() async throws {
        try await withJobs(configure: logged) { jobs, _ in
            var options = JobWorker.Options()
            options.unhandledDelay = .milliseconds(5)
            try await withWorker(jobs.worker(options) { _ in }) {
                try await jobs.enqueue(Fleeting(number: 1))
                try await eventually("the job was delivered more often than it has attempts") {
                    lineCount("cannot be performed, again in ") > 5
                }
            }
            #expect(lineCount("the worker has no handler for 'Fleeting'") > 5)
            let recorder = Recorder()
            let worker = jobs.worker {
                $0.register(Fleeting.self) { _, context in recorder.record(context.attempt) }
            }
            try await withWorker(worker) {
                try await eventually("the job has run") { !recorder.all.isEmpty }
            }
            #expect(recorder.all[0] <= 2)
        }
    }

    @Test func `cannot have a step, which would run in each attempt`() async throws {
        try await withJobs { jobs, _ in
            let (recorder, error) = (Recorder(), LockedValue<JobsError?>(nil))
            let worker = jobs.worker {
                $0.register(Fleeting.self) { job, context in
                    do {
                        try await context.step("s") { recorder.record(job.number) }
                    } catch let thrown as JobsError {
                        error.withLock { $0 = thrown }
                    }
                }
            }
            try await withWorker(worker) {
                try await jobs.enqueue(Fleeting(number: 1))
                try await eventually("the step is refused") { error.withLock { $0 != nil } }
            }
            #expect(error.withLock { $0 }?.reason == "a fleeting job has no steps")
            #expect(recorder.all.isEmpty)
        }
    }

    @Test func `is the last one although the store refuses the discarded job at first`()
        async throws
    {
        let folder = try TemporaryFolder()
        let path = folder.path("jobs.sqlite")
        try await withJobs(path: path, configure: logged) { jobs, _ in
            var configuration = Configuration()
            // Waits for the lock of the database, because the worker writes at the same time.
            configuration.busyMode = .timeout(60)
            let database = try DatabaseQueue(path: path, configuration: configuration)
            try await database.write {
                try $0.execute(
                    sql: """
                        CREATE TRIGGER refuse BEFORE INSERT ON nsq_jobs_job
                        BEGIN SELECT RAISE(ABORT, 'refused'); END
                        """)
            }
            var options = JobWorker.Options()
            options.storesDiscardedFleetingJobs = true
            let recorder = Recorder()
            let worker = jobs.worker(options) {
                $0.register(Fleeting.self) { job, _ in
                    recorder.record(job.number)
                    throw JobInterruption.discard("useless")
                }
            }
            var new = try NewJob(Fleeting(number: 1))
            new.traceContext = ["a": "b"]
            try await withWorker(worker) {
                try await jobs.enqueue(new)
                try await eventually("the store has refused the job three times") {
                    lineCount("cannot store the discarded fleeting job") >= 3
                }
                try await database.write { try $0.execute(sql: "DROP TRIGGER refuse") }
                try await eventually("the job is stored") {
                    try await jobs.counts().first?[.discarded] == 1
                }
            }
            #expect(recorder.all == [1])
            #expect(try await jobs.jobs().jobs.first?.traceContext == new.traceContext)
        }
    }
}
