import Foundation
import GRDB
import Logging
import NSQBroker
import NSQClient
import NSQJobs
import NSQTesting
import TestKit
import TestTraits
import Testing

@Suite struct `The relay` {
    @Test func `publishes a scheduled job when it is due`() async throws {
        try await withJobs { jobs, _ in
            try await withWorker(numberedWorker(of: jobs)) {
                let begin = ContinuousClock.now
                let id = try await jobs.enqueue(Numbered(number: 1), after: .milliseconds(200)).id
                let date = Date(timeIntervalSinceNow: -60)
                let past = try await jobs.enqueue(Numbered(number: 2), at: date).id
                _ = try await jobs.wait(for: past, .completed)
                _ = try await jobs.wait(for: id, .completed)
                #expect(ContinuousClock.now - begin >= .milliseconds(200))
            }
        }
    }

    @Test func `publishes jobs that another process has stored, and those of a dead worker`()
        async throws
    {
        let folder = try TemporaryFolder()
        let path = folder.path("jobs.sqlite")
        try await withJobs(path: path) { jobs, _ in
            let store = try SQLiteJobStore(path: path)
            let now = JobTime(Date())
            let result = try await store.enqueue(
                [NewJob(name: Numbered.name, arguments: #"{"number":1}"#)], publishing: nil, at: now
            )
            let dead = try await store.enqueue(
                [NewJob(name: Numbered.name, arguments: #"{"number":2}"#)], publishing: nil, at: now
            ).receipts[0].id
            let worker = try await store.registerWorker(
                NewWorker(name: "dead", queues: [], concurrency: 1), at: now)
            _ = try await store.claim(
                [JobReference(id: dead, version: 1)], worker: worker, lease: .milliseconds(200),
                at: now)
            try await withWorker(numberedWorker(of: jobs)) {
                _ = try await jobs.wait(for: result.receipts[0].id, .completed)
                let job = try await jobs.wait(for: dead, .completed)
                #expect(job.attempt == 2)
                let attempts = try await jobs.attempts(of: dead)
                #expect(attempts.map(\.result) == [.leaseExpired, .completed])
                #expect(attempts.map(\.worker)[0] == "dead")
            }
            try await store.close()
        }
    }

    @Test func `publishes jobs of a transaction after its commit, and none after a rollback`()
        async throws
    {
        let folder = try TemporaryFolder()
        let pool = try DatabasePool(path: folder.path("app.sqlite"))
        try await pool.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA synchronous = FULL; CREATE TABLE item (id INTEGER)")
        }
        try await withBroker { broker in
            var configuration = Jobs.Configuration()
            // The test passes only if the commit wakes the relay.
            configuration.sweepInterval = .seconds(60)
            configuration.logger.logLevel = .critical
            let jobs = try await Jobs(
                store: .sqlite(in: pool), nsqd: broker.tcpAddress, configuration: configuration)
            let recorder = Recorder()
            let worker = jobs.worker {
                $0.register(Numbered.self) { job, _ in
                    let found = try await pool.read {
                        try Int.fetchOne(
                            $0, sql: "SELECT id FROM item WHERE id = ?", arguments: [job.number])
                    }
                    recorder.record(found ?? -1)
                }
            }
            try await withWorker(worker) {
                struct RolledBack: Error {}
                for number in 0..<20 {
                    try? await pool.write { database in
                        try jobs.enqueue(Numbered(number: number), in: database)
                        try database.execute(
                            sql: "INSERT INTO item VALUES (?)", arguments: [number])
                        if number % 2 == 1 { throw RolledBack() }
                    }
                }
                let counts = try await jobs.waitUntilEnded()
                #expect(counts[.completed] == 10)
            }
            #expect(recorder.all.sorted() == Array(stride(from: 0, to: 20, by: 2)))
            await jobs.stop()
        }
    }

    @Test func `repeats publishes that fail, and messages that NSQ loses`() async throws {
        try await withJobs(configure: {
            $0.producer.reconnectTimeout = .milliseconds(50)
            $0.producer.client.maxReconnectDelay = .milliseconds(100)
        }) { jobs, broker in
            let published = try await jobs.enqueue(Numbered(number: 1)).id
            _ = try await broker.published(to: "jobs.default.normal", count: 1)
            // The broker has no data path, so it loses the message.
            await broker.stop()
            let unpublished = try await jobs.enqueue(Numbered(number: 2)).id
            try await broker.start()
            try await withWorker(numberedWorker(of: jobs)) {
                _ = try await jobs.wait(for: published, .completed)
                _ = try await jobs.wait(for: unpublished, .completed)
            }
        }
    }

    @Test func `publishes at once the job that gets the slot of a changed one`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("jobs.sqlite")
        try await withJobs(path: path, configure: { $0.sweepInterval = .seconds(60) }) {
            jobs, broker in
            try await jobs.setLimit(JobLimit(maxRunning: 1), of: "default")
            let ids = try await jobs.enqueue(contentsOf: (0..<3).map { Numbered(number: $0) })
                .map(\.id)
            _ = try await broker.published(to: "jobs.default.normal", count: 3)
            // The jobs run in another process, which does not wake the relay of this one.
            let (store, now) = (try SQLiteJobStore(path: path), JobTime(Date()))
            let worker = try await store.registerWorker(
                NewWorker(name: "other", queues: [], concurrency: 3), at: now)
            _ = try await store.claim(
                ids.map { JobReference(id: $0, version: 1) }, worker: worker, lease: .seconds(30),
                at: now)
            let running = try #require(try await jobs.status(of: ids[0])?.claim)
            _ = try await store.settle([Settlement(running, .complete)], at: now)
            #expect(try await jobs.status(of: ids[1])?.state == .available)
            try await jobs.edit(ids[1], JobEdit(dueAt: now + .seconds(3_600)))
            #expect(try await jobs.status(of: ids[2])?.state == .available)
            let bodies = try await broker.published(to: "jobs.default.normal", count: 4)
            #expect(JobMessage(parsing: bodies[3])?.reference.id == ids[2])
            try await store.close()
        }
    }

    @Test func `publishes what an nsqd has lost as soon as it is reachable again`() async throws {
        try await withJobs(configure: {
            $0.republishDelay = .seconds(3_600)
            $0.sweepInterval = .seconds(60)
            $0.producer.client.maxReconnectDelay = .milliseconds(100)
        }) { jobs, broker in
            let id = try await jobs.enqueue(Numbered(number: 1)).id
            _ = try await broker.published(to: "jobs.default.normal", count: 1)
            // The broker has no data path, so it loses the message.
            try await broker.restart()
            _ = try await broker.published(to: "jobs.default.normal", count: 1)
            try await withWorker(numberedWorker(of: jobs)) {
                _ = try await jobs.wait(for: id, .completed)
            }
        }
    }

    @Test func `publishes the other jobs of a sweep although one topic is refused`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("jobs.sqlite")
        try await withJobs(path: path, configure: { $0.republishDelay = .seconds(600) }) {
            jobs, broker in
            broker.inject(.refusePublishes(to: "jobs.a.normal"))
            let store = try SQLiteJobStore(path: path)
            let work = ["a", "b", "c"].map {
                NewJob(
                    name: Numbered.name, arguments: #"{"number":1}"#,
                    options: JobOptions(queue: $0))
            }
            let receipts = try await store.enqueue(work, publishing: nil, at: JobTime(Date()))
                .receipts
            try await withWorker(numberedWorker(of: jobs, queues: ["a", "b", "c"])) {
                for receipt in receipts.dropFirst() {
                    _ = try await jobs.wait(for: receipt.id, .completed)
                }
                broker.removeFaults()
                _ = try await jobs.wait(for: receipts[0].id, .completed)
            }
            try await store.close()
        }
    }

    @Test func `starts no job of a paused queue`() async throws {
        try await withJobs { jobs, _ in
            let first = try await jobs.enqueue(Numbered(number: 1)).id
            try await jobs.pause("default")
            let second = try await jobs.enqueue(Numbered(number: 2)).id
            let other = JobOptions(queue: "other")
            try await withWorker(numberedWorker(of: jobs, queues: ["default", "other"])) {
                // The worker receives the message of the first job before it completes this third job.
                let third = try await jobs.enqueue(Numbered(number: 3), options: other).id
                _ = try await jobs.wait(for: third, .completed)
                for id in [first, second] {
                    #expect(try await jobs.status(of: id)?.state == .available)
                }
                try await jobs.resume("default")
                for id in [first, second] { _ = try await jobs.wait(for: id, .completed) }
            }
        }
    }

    @Test func `publishes at most the window, and performs all jobs in the end`() async throws {
        try await withJobs(configure: {
            $0.publishWindow = 10
        }) { jobs, broker in
            try await jobs.enqueue(contentsOf: (0..<100).map { Numbered(number: $0) })
            _ = try await broker.published(to: "jobs.default.normal", count: 10)
            let depth = await broker.statistics().topics.first { $0.name == "jobs.default.normal" }
            #expect(depth?.depth ?? 0 <= 10)
            try await withWorker(numberedWorker(of: jobs)) {
                let counts = try await jobs.waitUntilEnded()
                #expect(counts[.completed] == 100)
            }
        }
    }

    private func numberedWorker(of jobs: Jobs, queues: [String] = ["default"]) -> JobWorker {
        jobs.worker(queues: queues) { $0.register(Numbered.self) }
    }
}
