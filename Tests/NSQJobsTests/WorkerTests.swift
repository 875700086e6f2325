import Foundation
import GRDB
import NSQBroker
import NSQJobs
import NSQTesting
import TallyBasics
import TestTraits
import Testing

@Suite struct `A worker` {
    @Test func `performs jobs of its queues, each once`() async throws {
        try await withJobs { jobs, _ in
            let recorder = Recorder()
            let worker = jobs.worker(queues: ["default", "mail"], concurrency: 4) {
                $0.register(Numbered.self) { job, _ in recorder.record(job.number) }
            }
            try await withWorker(worker) {
                try await jobs.enqueue(contentsOf: (0..<200).map { Numbered(number: $0) })
                for number in 200..<220 {
                    let priority = JobPriority.allCases[number % 3]
                    try await jobs.enqueue(
                        Numbered(number: number),
                        options: JobOptions(queue: "mail", priority: priority))
                }
                #expect(try await jobs.waitUntilEnded()[.completed] == 200)
                #expect(try await jobs.waitUntilEnded("mail")[.completed] == 20)
            }
            #expect(recorder.all.sorted() == Array(0..<220))
            let attempts = try await jobs.attempts(of: JobID(7))
            #expect(attempts.map(\.result) == [.completed])
            let workers = try await jobs.workers()
            #expect(workers.count == 1 && workers[0].stoppedAt != nil)
            #expect(workers[0].queues == ["default", "mail"] && workers[0].concurrency == 4)
        }
    }

    @Test func `repeats failed jobs, and keeps the errors`() async throws {
        struct Failure: Error, CustomStringConvertible { let description = "no route" }
        try await withJobs { jobs, _ in
            let worker = jobs.worker(concurrency: 2) {
                $0.register(Numbered.self) { job, context in
                    guard context.attempt > job.number else { throw Failure() }
                }
            }
            try await withWorker(worker) {
                let succeeding = try await jobs.enqueue(Numbered(number: 2)).id
                let failing = try await jobs.enqueue(Numbered(number: 3)).id
                _ = try await jobs.wait(for: succeeding, .completed)
                let discarded = try await jobs.wait(for: failing, .discarded)
                #expect(discarded.attempt == 3 && discarded.note == "no route")
                let results = try await jobs.attempts(of: succeeding).map(\.result)
                #expect(results == [.failed, .failed, .completed])
                let errors = try await jobs.attempts(of: failing).map(\.error)
                #expect(errors == ["no route", "no route", "no route"])
            }
        }
    }

    @Test func `ends attempts as the job decides`() async throws {
        try await withJobs { jobs, _ in
            let recorder = Recorder()
            let worker = jobs.worker(concurrency: 4) {
                $0.register(Numbered.self) { job, context in
                    recorder.record(job.number)
                    switch job.number {
                    case 1 where recorder.all.filter { $0 == 1 }.count < 3:
                        throw JobInterruption.snooze(.milliseconds(5))
                    case 2: throw JobInterruption.discard("useless")
                    case 3: throw JobInterruption.cancel("not needed")
                    case 4 where context.attempt == 1:
                        throw JobInterruption.retry(after: .zero, reason: "later")
                    default: break
                    }
                }
            }
            try await withWorker(worker) {
                let ids = try await jobs.enqueue(contentsOf: (1...4).map { Numbered(number: $0) })
                let snoozed = try await jobs.wait(for: ids[0].id, .completed)
                #expect(snoozed.attempt == 1 && snoozed.note == nil)
                let discarded = try await jobs.wait(for: ids[1].id, .discarded)
                #expect(discarded.note == "useless" && discarded.attempt == 1)
                let cancelled = try await jobs.wait(for: ids[2].id, .cancelled)
                #expect(cancelled.note == "not needed")
                let retried = try await jobs.wait(for: ids[3].id, .completed)
                #expect(retried.attempt == 2)
            }
        }
    }

    @Test func `keeps jobs that it does not know, for a worker that does`() async throws {
        try await withJobs { jobs, _ in
            var options = JobWorker.Options()
            options.unhandledDelay = .milliseconds(20)
            let older = jobs.worker(options) { $0.register(Numbered.self) }
            let unknown = try await jobs.enqueue(Unregistered(number: 7)).id
            let undecodable = try await jobs.enqueue(
                NewJob(name: Numbered.name, arguments: #"{"number":"x"}"#)
            ).id
            try await withWorker(older) {
                try await eventually("the jobs are kept with a reason") {
                    let notes = [
                        try await jobs.status(of: unknown)?.note ?? "",
                        try await jobs.status(of: undecodable)?.note ?? "",
                    ]
                    return notes[0].contains("no handler for 'Unregistered'")
                        && notes[1].contains("cannot decode the arguments")
                }
            }
            let newer = jobs.worker(options) {
                $0.register(Unregistered.self)
                $0.register(name: Numbered.name) { _ in }
            }
            try await withWorker(newer) {
                for id in [unknown, undecodable] {
                    let job = try await jobs.wait(for: id, .completed)
                    #expect(job.attempt == 1)
                }
            }
        }
    }

    @Test func `cancels the task of a job that takes too long`() async throws {
        try await withJobs { jobs, _ in
            let worker = jobs.worker {
                $0.register(Numbered.self) { _, _ in try await Task.sleep(for: .seconds(600)) }
            }
            try await withWorker(worker) {
                let options = JobOptions(maxAttempts: 1, timeout: .milliseconds(30))
                let id = try await jobs.enqueue(Numbered(number: 1), options: options).id
                let job = try await jobs.wait(for: id, .discarded)
                #expect(job.note == "timed out after 0.03 seconds")
            }
        }
    }

    @Test func `cancels a running job on request, at the next check`() async throws {
        let leases = ManualLeaseClock()
        try await withJobs(store: .custom(SQLiteJobStore(inMemory: leases.clock()))) { jobs, _ in
            var options = JobWorker.Options()
            options.cancellationInterval = .seconds(5)
            options.leaseClock = leases.clock()
            let worker = jobs.worker(options) {
                $0.register(Numbered.self) { _, _ in try await Task.sleep(for: .seconds(600)) }
            }
            try await withWorker(worker) {
                let id = try await jobs.enqueue(Numbered(number: 1)).id
                _ = try await jobs.wait(for: id, .running)
                #expect(try await jobs.cancel(id).isCancelRequested)
                leases.advance(by: .seconds(5))
                let job = try await jobs.wait(for: id, .cancelled)
                #expect(job.note == "cancelled by request while it ran")
            }
        }
    }

    @Test func `keeps the lease of a long job, which runs once although another worker waits`()
        async throws
    {
        let leases = ManualLeaseClock()
        let database = try DatabaseQueue()
        let store = try SQLiteJobStore(
            in: database, requiresSync: false, leaseClock: leases.clock())
        try await withJobs(store: .custom(store)) { jobs, _ in
            let (recorder, gate) = (Recorder(), Gate())
            func worker() -> JobWorker {
                var options = JobWorker.Options()
                options.lease = .seconds(60)
                options.leaseClock = leases.clock()
                return jobs.worker(options) {
                    $0.register(Numbered.self) { job, _ in
                        recorder.record(job.number)
                        await gate.wait()
                    }
                }
            }
            try await withWorker(worker()) {
                try await withWorker(worker()) {
                    let id = try await jobs.enqueue(Numbered(number: 1)).id
                    try await eventually("the job runs") { recorder.all == [1] }
                    for _ in 0..<5 {
                        leases.advance(by: .seconds(25))
                        let end = leases.now + Duration.seconds(60)
                        try await eventually("the worker renews the lease") {
                            try await database.read {
                                try Int64.fetchOne(
                                    $0, sql: "SELECT lease_until FROM nsq_jobs_job")
                                    == end.nanoseconds
                            }
                        }
                    }
                    gate.open()
                    let job = try await jobs.wait(for: id, .completed)
                    #expect(job.attempt == 1)
                }
            }
            #expect(recorder.all == [1])
        }
    }

    @Test
    func `keeps its jobs when its connection breaks, although their messages are delivered again`()
        async throws
    {
        try await withJobs { jobs, broker in
            let (recorder, gate) = (Recorder(), Gate())
            func worker() -> JobWorker {
                jobs.worker {
                    $0.register(Numbered.self) { job, _ in
                        recorder.record(job.number)
                        if job.number == 1 { await gate.wait() }
                    }
                }
            }
            try await withWorker(worker()) {
                let held = try await jobs.enqueue(Numbered(number: 1)).id
                _ = try await jobs.wait(for: held, .running)
                let isInFlight = await broker.channel("workers", of: "jobs.default.normal")
                #expect(isInFlight?.inFlightCount == 1)
                try await withWorker(worker()) {
                    #expect(await broker.cut(.consumers(of: "jobs.default.normal")) == 1)
                    let other = try await jobs.enqueue(Numbered(number: 2)).id
                    _ = try await jobs.wait(for: other, .completed)
                    try await eventually("no message is in flight or waits") {
                        let channel = await broker.channel(
                            "workers", of: "jobs.default.normal")
                        return channel?.inFlightCount == 0 && channel?.depth == 0
                    }
                    gate.open()
                    #expect(try await jobs.wait(for: held, .completed).attempt == 1)
                }
            }
            #expect(recorder.all == [1, 2])
        }
    }

    @Test(arguments: [(Duration.seconds(60), 1), (.milliseconds(50), 0)])
    func `keeps the message of a running job in flight for a time`(
        hold: Duration, inFlightCount: Int
    ) async throws {
        try await withJobs { jobs, broker in
            let gate = Gate()
            var options = JobWorker.Options()
            options.messageHold = hold
            let worker = jobs.worker(options) {
                $0.register(Numbered.self) { _, _ in await gate.wait() }
            }
            try await withWorker(worker) {
                let id = try await jobs.enqueue(Numbered(number: 1)).id
                _ = try await jobs.wait(for: id, .running)
                try await eventually("\(inFlightCount) messages are in flight") {
                    await broker.channel("workers", of: "jobs.default.normal")?
                        .inFlightCount == inFlightCount
                }
                #expect(try await jobs.status(of: id)?.state == .running)
                gate.open()
                _ = try await jobs.wait(for: id, .completed)
            }
        }
    }

    @Test func `stops when its running jobs have ended, and takes no more`() async throws {
        try await withJobs { jobs, _ in
            let recorder = Recorder()
            let worker = jobs.worker {
                $0.register(Numbered.self) { job, _ in
                    recorder.record(job.number)
                    try await Task.sleep(for: .milliseconds(100))
                }
            }
            try await jobs.enqueue(contentsOf: (0..<3).map { Numbered(number: $0) })
            try await withWorker(worker) {
                // A job that is claimed and has not started is released.
                try await eventually("the first job starts") { recorder.all == [0] }
            }
            #expect(recorder.all == [0])
            let counts = try await jobs.counts()[0]
            #expect(counts[.completed] == 1 && counts[.available] == 2)
        }
    }

    @Test func `releases jobs that do not end in time, without an attempt`() async throws {
        try await withJobs { jobs, _ in
            var options = JobWorker.Options()
            options.stopTimeout = .milliseconds(20)
            let worker = jobs.worker(options) {
                $0.register(Numbered.self) { _, _ in try await Task.sleep(for: .seconds(600)) }
            }
            let id = try await jobs.enqueue(Numbered(number: 1)).id
            try await withWorker(worker) { _ = try await jobs.wait(for: id, .running) }
            let job = try #require(try await jobs.status(of: id))
            #expect(job.state == .available && job.attempt == 0)
        }
    }

    @Test func `releases its jobs at once when its task is cancelled`() async throws {
        try await withJobs { jobs, _ in
            let worker = jobs.worker {
                $0.register(Numbered.self) { _, _ in try await Task.sleep(for: .seconds(600)) }
            }
            let id = try await jobs.enqueue(Numbered(number: 1)).id
            let run = Task { try await worker.run() }
            _ = try await jobs.wait(for: id, .running)
            run.cancel()
            let error = await #expect(throws: JobsError.self) { try await run.value }
            #expect(error?.code == .cancelled)
            #expect(try await jobs.status(of: id)?.state == .available)
        }
    }

    @Test func `refuses invalid options`() async throws {
        try await withJobs { jobs, _ in
            func code(_ change: (inout JobWorker.Options) -> Void) async -> JobsError.Code? {
                var options = JobWorker.Options()
                change(&options)
                do throws(JobsError) { try await jobs.worker(options) { _ in }.run() } catch {
                    return error.code
                }
                return nil
            }
            #expect(await code { $0.queues = [] } == .invalidOption)
            #expect(await code { $0.queues = ["a b"] } == .invalidName)
            #expect(await code { $0.concurrency = 0 } == .invalidOption)
            #expect(await code { $0.priorityOrder = .weighted(low: 0) } == .invalidOption)
            #expect(await code { $0.lease = .milliseconds(99) } == .invalidOption)
            #expect(await code { $0.cancellationInterval = .zero } == .invalidOption)
            #expect(await code { $0.messageHold = .seconds(601) } == .invalidOption)
            #expect(await code { $0.gracePeriod = .seconds(61) } == .invalidOption)
            #expect(await code { $0.stopTimeout = .seconds(-1) } == .invalidOption)
        }
    }
}
