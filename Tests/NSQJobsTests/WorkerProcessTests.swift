import Foundation
import GRDB
import Logging
import NSQClient
import NSQJobs
import NSQTesting
import TallyBasics
import TestKit
import TestTraits
import Testing

/// The environment variable `JOB_KILLS` sets the number of kills (8 by default).
@Suite(.blocking) struct `Jobs in worker processes` {
    private struct Append: Job {
        static let options = JobOptions(maxAttempts: 1_000)
        var number: Int

        func perform(_ context: JobContext) async throws {}
    }

    private struct RolledBack: Error {}

    @Test func `keep their leases while they occupy all threads of the shared pool`() async throws {
        let folder = try TemporaryFolder()
        try await withJobs(path: folder.path("jobs.sqlite")) { jobs, broker in
            let worker = try startWorker(folder, broker, leaseMilliseconds: 2_000)
            // Four jobs at a time, each longer than the lease.
            let spin = NewJob(name: "Spin", arguments: #"{"milliseconds":2300}"#)
            try await jobs.enqueue(contentsOf: Array(repeating: spin, count: 4))
            #expect(try await jobs.waitUntilEnded()[.completed] == 4)
            for id in 1...4 {
                let attempts = try await jobs.attempts(of: JobID(Int64(id)))
                #expect(attempts.map(\.result) == [.completed])
            }
            worker.send(SIGKILL)
            #expect(worker.status() == -SIGKILL)
        }
    }

    @Test func `are taken over at once from a process that was killed, by their messages`()
        async throws
    {
        let folder = try TemporaryFolder()
        try await withJobs(
            path: folder.path("jobs.sqlite"),
            configure: {
                // Only the worker in the other process sweeps more often.
                $0.sweepInterval = .seconds(60)
                $0.republishDelay = .seconds(3_600)
            }
        ) { jobs, broker in
            let killed = try startWorker(folder, broker, leaseMilliseconds: 3_600_000)
            let spin = NewJob(name: "Spin", arguments: #"{"milliseconds":100000}"#)
            let id = try await jobs.enqueue(spin).id
            _ = try await jobs.wait(for: id, .running)
            let worker = jobs.worker { $0.register(name: "Spin") { _ in } }
            try await withWorker(worker) {
                killed.send(SIGKILL)
                #expect(killed.status() == -SIGKILL)
                _ = try await jobs.wait(for: id, .completed)
            }
            let attempts = try await jobs.attempts(of: id)
            #expect(attempts.map(\.result) == [.leaseExpired, .completed])
        }
    }

    @Test
    func `all run to an end, those of rolled back transactions never, and doubles are attempts`()
        async throws
    {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let kills = ProcessInfo.processInfo.environment["JOB_KILLS"].flatMap { Int($0) } ?? 8
        var configuration = Configuration()
        configuration.busyMode = .timeout(60)
        let pool = try DatabasePool(
            path: folder.path("jobs.sqlite"), configuration: configuration)
        try await pool.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA synchronous = FULL")
        }
        try await withBroker { broker in
            let jobs = try await newJobs(pool, broker)
            var numbers = 0..<0
            for round in 0..<kills {
                let workers = try (0..<2).map { _ in try startWorker(folder, broker) }
                numbers = 0..<numbers.upperBound + 50
                for number in numbers.suffix(50) {
                    do {
                        try await pool.write { database in
                            try jobs.enqueue(Append(number: number), in: database)
                            if isRolledBack(number) { throw RolledBack() }
                        }
                    } catch is RolledBack {}
                }
                // The broker has no data path, so a restart loses all messages.
                if round % 4 == 3 { try await broker.restart() }
                let wanted = Int.random(in: 1...40, using: &generator)
                let before = lines(folder).count
                try await eventually("\(wanted) jobs have run, or all") {
                    let ended = try await jobs.counts().first?.unfinished == 0
                    return ended || lines(folder).count >= before + wanted
                }
                for worker in workers { worker.send(SIGKILL) }
                for worker in workers { #expect(worker.status() == -SIGKILL) }
            }
            let last = try startWorker(folder, broker)
            let counts = try await jobs.waitUntilEnded()
            last.send(SIGKILL)
            #expect(last.status() == -SIGKILL)
            let committed = numbers.filter { !isRolledBack($0) }
            #expect(counts[.completed] == committed.count)
            try await check(folder, jobs, committed)
            await jobs.stop()
        }
    }

    /// Each committed job has a line, and each further line belongs to an attempt whose lease expired.
    private func check(_ folder: TemporaryFolder, _ jobs: Jobs, _ committed: [Int]) async throws {
        var runs: [Int: [Int]] = [:]
        for line in lines(folder) {
            let fields = line.split(separator: " ").compactMap { Int($0) }
            runs[fields[0], default: []].append(fields[1])
        }
        #expect(runs.keys.sorted() == committed)
        var query = JobQuery(limit: 1_000)
        repeat {
            let page = try await jobs.jobs(matching: query)
            for job in page.jobs {
                let attempts = try await jobs.attempts(of: job.id)
                let lost = attempts.dropLast().allSatisfy { $0.result == .leaseExpired }
                #expect(lost && attempts.last?.result == .completed)
                let run = runs[try job.decoded(as: Append.self).number] ?? []
                #expect(Set(run).count == run.count, "an attempt ran twice: \(run)")
                #expect(Set(run).isSubset(of: attempts.map(\.number)))
            }
            query.before = page.next
        } while query.before != nil
    }

    private func isRolledBack(_ number: Int) -> Bool { number % 5 == 0 }

    private func newJobs(_ pool: DatabasePool, _ broker: TestBroker) async throws -> Jobs {
        var configuration = Jobs.Configuration()
        configuration.sweepInterval = .milliseconds(50)
        configuration.republishDelay = .milliseconds(300)
        configuration.producer.client.maxReconnectDelay = .milliseconds(200)
        configuration.logger.logLevel = .critical
        return try await Jobs(
            store: .sqlite(in: pool), nsqd: broker.tcpAddress, configuration: configuration)
    }

    private func startWorker(
        _ folder: TemporaryFolder, _ broker: TestBroker, leaseMilliseconds: Int = 800
    ) throws -> BuiltProcess {
        let program = BuiltProcess.tally.deletingLastPathComponent()
            .appending(component: "job-worker")
        return try BuiltProcess(
            [
                folder.path("jobs.sqlite"), broker.tcpAddress, folder.path("output"),
                "\(leaseMilliseconds)",
            ],
            executable: program)
    }

    private func lines(_ folder: TemporaryFolder) -> [Substring] {
        let text = try? String(contentsOfFile: folder.path("output"), encoding: .utf8)
        return text?.split(separator: "\n") ?? []
    }
}
