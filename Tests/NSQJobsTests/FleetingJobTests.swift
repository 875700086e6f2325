import Foundation
import GRDB
import NSQBroker
import NSQJobs
import NSQTesting
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite struct `A fleeting job` {
    /// A job with a number, as ``Numbered``, but fleeting: it is not stored.
    private struct Fleeting: Job {
        static let options = JobOptions(
            maxAttempts: 3,
            retry: JobRetryPolicy(firstDelay: .milliseconds(5), maxDelay: .milliseconds(20)),
            grade: .fleeting)
        var number: Int

        func perform(_ context: JobContext) async throws {}
    }

    private struct Failure: Error, CustomStringConvertible { let description = "no route" }

    @Test func `is performed without a row in the store`() async throws {
        try await withJobs { jobs, broker in
            let recorder = Recorder()
            let worker = jobs.worker(concurrency: 4) {
                $0.register(Fleeting.self) { job, _ in recorder.record(job.number) }
                $0.register(Numbered.self) { job, _ in recorder.record(job.number) }
            }
            try await withWorker(worker) {
                let receipts = try await jobs.enqueue(
                    contentsOf: (0..<300).map { Fleeting(number: $0) })
                #expect(receipts.allSatisfy { $0.id.isFleeting && $0.kind == .new })
                #expect(try await jobs.status(of: receipts[0].id) == nil)
                let tracked = try await jobs.enqueue(Numbered(number: 300)).id
                #expect(!tracked.isFleeting)
                try await eventually("all jobs have run") { recorder.all.count >= 301 }
                try await eventually("all messages are finished") {
                    let channel = await broker.channel("workers", of: "jobs.default.normal")
                    return channel?.depth == 0 && channel?.inFlightCount == 0
                }
            }
            #expect(recorder.all.sorted() == Array(0...300))
            #expect(try await jobs.jobs().jobs.count == 1)
        }
    }

    @Test func `is delivered again after a failure, and discarded after the last attempt`()
        async throws
    {
        struct Discards: JobMiddleware {
            let reasons: LockedValue<[String]>

            func discarded(_ job: JobRecord, reason: String) {
                reasons.withLock { $0.append("\(job.name) \(job.attempt) \(reason)") }
            }
        }
        let reasons = LockedValue<[String]>([])
        try await withJobs(configure: { $0.middleware = [Discards(reasons: reasons)] }) {
            jobs, broker in
            var options = JobWorker.Options()
            options.storesDiscardedFleetingJobs = true
            let recorder = Recorder()
            let worker = jobs.worker(options) {
                $0.register(Fleeting.self) { job, context in
                    recorder.record(context.attempt)
                    if job.number == 1 { throw Failure() }
                    if job.number == 2 { throw JobInterruption.discard("useless") }
                    if context.attempt == 1 { throw JobInterruption.snooze(.milliseconds(5)) }
                }
            }
            try await withWorker(worker) {
                try await jobs.enqueue(Fleeting(number: 1))
                try await eventually("the job is discarded") {
                    try await jobs.counts().first?[.discarded] == 1
                }
                #expect(recorder.all == [1, 2, 3])
                try await jobs.enqueue(Fleeting(number: 2))
                try await jobs.enqueue(Fleeting(number: 3))
                try await eventually("both jobs have ended") {
                    let channel = await broker.channel("workers", of: "jobs.default.normal")
                    let isDone = channel?.depth == 0 && channel?.inFlightCount == 0
                    let isStored = try await jobs.counts().first?[.discarded] == 2
                    return isDone && isStored && channel?.deferredCount == 0
                }
            }
            #expect(recorder.all.count == 6)
            #expect(
                reasons.withLock { $0 } == ["Fleeting 3 no route", "Fleeting 1 useless"])
            let stored = try await jobs.jobs(matching: JobQuery(states: [.discarded])).jobs
            #expect(stored.map(\.note) == ["useless", "no route"])
            #expect(try stored[1].decoded(as: Fleeting.self).number == 1)
        }
    }

    @Test func `is stored before its message is finished, when it is discarded`() async throws {
        struct Discards: JobMiddleware {
            let count: LockedValue<Int>

            func discarded(_ job: JobRecord, reason: String) { count.withLock { $0 += 1 } }
        }
        let (folder, count) = (try TemporaryFolder(), LockedValue(0))
        let path = folder.path("jobs.sqlite")
        try await withJobs(
            path: path, configure: { $0.middleware = [Discards(count: count)] }
        ) { jobs, broker in
            var options = JobWorker.Options(concurrency: 2)
            options.storesDiscardedFleetingJobs = true
            let (recorder, first, second) = (Recorder(), Gate(), Gate())
            let worker = jobs.worker(options) {
                $0.register(Fleeting.self) { job, _ in
                    recorder.record(job.number)
                    await (job.number == 1 ? first : second).wait()
                    if job.number == 1 { throw JobInterruption.discard("useless") }
                }
            }
            try await withWorker(worker) {
                try await jobs.enqueue(Fleeting(number: 1))
                try await eventually("the job runs") { recorder.all == [1] }
                var configuration = Configuration()
                configuration.allowsUnsafeTransactions = true
                configuration.busyMode = .timeout(10)
                let other = try DatabaseQueue(path: path, configuration: configuration)
                try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
                first.open()
                try await eventually("the job is given up") { count.withLock { $0 } == 1 }
                try await jobs.enqueue(Fleeting(number: 2))
                try await eventually("the next job runs") { recorder.all == [1, 2] }
                let channel = await broker.channel("workers", of: "jobs.default.normal")
                #expect(channel?.inFlightCount == 2)
                try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
                second.open()
                try await eventually("the job is stored, and no message is in flight") {
                    let channel = await broker.channel("workers", of: "jobs.default.normal")
                    let isStored = try await jobs.counts().first?[.discarded] == 1
                    return isStored && channel?.inFlightCount == 0
                }
            }
        }
    }

    @Test func `goes back to nsqd when its worker stops`() async throws {
        try await withJobs { jobs, broker in
            var options = JobWorker.Options()
            options.stopTimeout = .milliseconds(20)
            let recorder = Recorder()
            let worker = jobs.worker(options) {
                $0.register(Fleeting.self) { job, _ in
                    recorder.record(job.number)
                    try await Task.sleep(for: .seconds(600))
                }
            }
            try await withWorker(worker) {
                try await jobs.enqueue(Fleeting(number: 1))
                try await eventually("the job has started") { recorder.all == [1] }
            }
            let next = jobs.worker {
                $0.register(Fleeting.self) { job, _ in recorder.record(job.number + 1) }
            }
            try await withWorker(next) {
                try await eventually("the job runs again") { recorder.all == [1, 2] }
            }
        }
    }

    @Test func `waits in nsqd for its time`() async throws {
        try await withJobs { jobs, broker in
            try await jobs.enqueue(Fleeting(number: 1), after: .milliseconds(200))
            let recorder = Recorder()
            let worker = jobs.worker {
                $0.register(Fleeting.self) { job, _ in recorder.record(job.number) }
            }
            try await withWorker(worker) {
                try await eventually("the job has run") { recorder.all == [1] }
            }
        }
    }

    @Test func `refuses what only a stored job can have`() async throws {
        try await withJobs { jobs, _ in
            func code(_ body: () async throws -> Void) async -> JobsError.Code? {
                do { try await body() } catch { return (error as? JobsError)?.code }
                return nil
            }
            let options = Fleeting.options
            #expect(
                await code {
                    try await jobs.enqueue(Fleeting(number: 1), after: .seconds(3_700))
                } == .invalidOption)
            #expect(
                await code {
                    try await jobs.enqueue(NewJob(name: "n", options: options, uniqueKey: "k"))
                } == .invalidOption)
            var tagged = options
            tagged.tags = ["t"]
            #expect(
                await code {
                    try await jobs.enqueue(NewJob(name: "n", options: tagged))
                } == .invalidOption)
            #expect(
                await code {
                    let cron = try CronExpression("* * * * *")
                    try await jobs.schedule(
                        CronSchedule(name: "s", cron, job: NewJob(name: "n", options: options)))
                } == .invalidOption)
        }
        let stored = try await Jobs(store: .memory)
        let error = await #expect(throws: JobsError.self) {
            try await stored.enqueue(Fleeting(number: 1))
        }
        #expect(error?.reason == "a fleeting job needs NSQ")
        await stored.stop()
    }

    @Test func `is stored in the test modes`() async throws {
        let jobs = try await Jobs.manual()
        let id = try await jobs.enqueue(Fleeting(number: 7)).id
        #expect(try await jobs.enqueued(Fleeting.self).map(\.number) == [7])
        _ = try await jobs.drain { $0.register(Fleeting.self) }
        #expect(try await jobs.status(of: id)?.state == .completed)
        await jobs.stop()
    }

    @Test func `has a message with its settings and its arguments`() throws {
        let options = JobOptions(
            queue: "mail", maxAttempts: 7, priority: .high,
            retry: JobRetryPolicy(firstDelay: .seconds(1), maxDelay: .seconds(9)),
            timeout: .seconds(3))
        let job = NewJob(name: "n", arguments: #"{"a":"\n"}"#, options: options)
        let id = JobID(.max)
        let message = FleetingMessage(job, id: id, createdAt: JobTime(microseconds: 5))
        let topic = JobTopic(queue: "mail", priority: .high)
        func parsed(_ body: [UInt8]) -> FleetingMessage? {
            body.withUnsafeBytes { FleetingMessage(parsing: $0, of: topic) }
        }
        #expect(parsed(message.body)?.job.options.retry.maxAttempts == 7)
        #expect(parsed(message.body) == message)
        var later = message
        later.earlierAttempts = 4
        #expect(parsed(later.body) == later)
        for text in [
            "", "\n", "{}\n{}", #"{"fleeting":7,"name":"n"}"# + "\n{}",
            #"{"fleeting":9223372036854775807,"name":"n","max_attempts":0}"# + "\n{}",
            #"{"fleeting":9223372036854775807}"# + "\n{}",
            #"{"fleeting":9223372036854775807,"name":"n","earlier_attempts":-1}"# + "\n{}",
            #"{"id":1,"version":1,"name":"n"}"#,
        ] {
            #expect(parsed(Array(text.utf8)) == nil, "\(text)")
        }
    }
}
