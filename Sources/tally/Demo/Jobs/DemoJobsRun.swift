import Foundation
import GRDB
import Logging
import NSQBroker
import NSQJobs
import TallyBasics
import UVLoop

/// A run of background jobs with delays, priorities, failures, unique keys, a transaction that is
/// rolled back, and a worker process that is killed. Afterwards, the jobs in the store and the log
/// of their starts are checked.
struct DemoJobsRun {
    /// The address of the embedded broker.
    let nsqd: SocketAddress
    /// The folder for the store, which the caller deletes.
    let folder: URL
    /// The maximum time in which no job ends, after which the run ends.
    let maxStandstill: Duration
    let progress: Progress

    /// The lease of the worker that is killed.
    private static let lease = Duration.seconds(1)

    private var storePath: String { folder.appending(component: "jobs.sqlite").path }

    /// Runs until all jobs have ended, or until there is no progress.
    ///
    /// - Throws: an error of the store or the broker, or `CancellationError`.
    func run() async throws -> JobsVerdict {
        let database = try Self.openDatabase(storePath)
        var configuration = Jobs.Configuration()
        configuration.logger = LineLog.logger("tally", .error)
        let jobs = try await Jobs(
            store: .sqlite(in: database), nsqd: nsqd.description, configuration: configuration)
        do {
            let verdict = try await run(jobs, database)
            await jobs.stop()
            return verdict
        } catch {
            await jobs.stop()
            throw error
        }
    }

    private static func openDatabase(_ path: String) throws -> DatabasePool {
        let database = try DatabasePool(path: path)
        try database.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try DemoRows.create(database)
        }
        return database
    }

    private func run(_ jobs: Jobs, _ database: DatabasePool) async throws -> JobsVerdict {
        var facts = JobsVerdict.Facts()
        let clock = ContinuousClock()
        let log = DemoJobLog(database)
        let begin = clock.now
        facts.receipts = try await store(jobs, database)
        facts.storing = clock.now - begin
        facts.scheduledAt = try await schedule(in: database)
        let killed = Task { try await killWorker(jobs) }
        let worker = jobs.worker(queues: DemoJobPlan.queues, concurrency: 64) {
            $0.register(DemoJob.self, log.perform)
        }
        let working = Task { try await worker.run() }
        facts.killedJobs = try await withTaskCancellationHandler {
            try await killed.value
        } onCancel: {
            killed.cancel()
        }
        let second = jobs.worker(queues: [DemoJobPlan.killedQueue], concurrency: 8) {
            $0.register(DemoJob.self, log.perform)
        }
        let workingSecond = Task { try await second.run() }
        try await endSchedule(jobs)
        try await waitForEnd(of: jobs)
        facts.performing = clock.now - begin - facts.storing
        for worker in [worker, second] { worker.stop() }
        for task in [working, workingSecond] { try await task.value }
        facts.starts = log.starts
        facts.missingRows = log.missingRows
        try await facts.read(from: jobs)
        return JobsVerdict(facts)
    }

    // MARK: Storing

    /// Stores all jobs.
    ///
    /// - Returns: the receipts of the jobs with unique keys.
    private func store(_ jobs: Jobs, _ database: DatabasePool) async throws -> [EnqueueReceipt] {
        let now = JobTime.now
        var stored = 0
        for kind in [DemoJob.Kind.plain, .delayed, .failsTwice, .failsAlways, .killed] {
            let new = try DemoJobPlan.jobs(of: kind, at: now)
            try await jobs.enqueue(contentsOf: new)
            stored += new.count
            progress.set("stored", stored)
        }
        var receipts: [EnqueueReceipt] = []
        for _ in 0..<DemoJobPlan.enqueuesPerKey {
            receipts += try await jobs.enqueue(
                contentsOf: DemoJobPlan.jobs(of: .unique, at: now))
        }
        // These jobs are stored last. Only the relay publishes them, and jobs that are stored later
        // should not be published before them.
        try storeInTransactions(jobs, database)
        progress.set("stored", DemoJobPlan.total)
        return receipts
    }

    /// Stores the schedule with a time some minutes ago, as if a program had stored it then and had
    /// not run since.
    ///
    /// - Returns: the time with which the schedule is stored.
    private func schedule(in database: DatabasePool) async throws -> JobTime {
        let time = JobTime.now + .seconds(-60 * DemoJobPlan.missedMinutes)
        let store = try SQLiteJobStore(in: database, requiresSync: true)
        try await store.store(DemoJobPlan.schedule(), at: time)
        return time
    }

    /// Waits until the jobs of the missed minutes are stored, and then deletes the schedule.
    private func endSchedule(_ jobs: Jobs) async throws {
        let end = ContinuousClock.now + maxStandstill
        let ticks = JobQuery(tag: "tick")
        while try await jobs.count(matching: ticks) < DemoJobPlan.missedMinutes,
            ContinuousClock.now < end
        {
            try await Task.sleep(for: .milliseconds(20))
        }
        try await jobs.unschedule(DemoJobPlan.schedule().name)
    }

    private struct RollBack: Error {}

    /// Stores jobs together with rows in two transactions: one is committed, the other rolled back.
    private func storeInTransactions(_ jobs: Jobs, _ database: DatabasePool) throws {
        let kinds = [DemoJob.Kind.transactional, .rolledBack]
        for kind in kinds {
            let new = try DemoJobPlan.jobs(of: kind, at: .now)
            do {
                try database.write { database in
                    for job in new {
                        let work = try JSONDecoder().decode(
                            DemoJob.self, from: Data(job.arguments.utf8))
                        try DemoRows.insert(work.number, database)
                        try jobs.enqueue(work, in: database, options: job.options)
                    }
                    if kind == .rolledBack { throw RollBack() }
                }
            } catch is RollBack {}
        }
    }

    // MARK: The worker that is killed

    /// Starts a worker process, and kills it when it has started a program for every job of its
    /// queue.
    ///
    /// - Returns: the jobs that the worker was performing.
    private func killWorker(_ jobs: Jobs) async throws -> [JobID] {
        var limits = JobProgram.Limits()
        limits.killDelay = .zero
        let program = try JobProgram(
            [
                "/proc/self/exe", "jobs", "work", "--store=\(storePath)",
                "--queue=\(DemoJobPlan.killedQueue)", "--nsqd-tcp-address=\(nsqd)",
                "--concurrency=8", "--lease=\(Self.lease / .seconds(1))s", "--log-level=fatal",
                "--", "sleep", "3600",
            ], limits: limits)
        let process = Task {
            await ProgramRun.run(
                program, input: [],
                environment: ProcessInfo.processInfo.environment.map { "\($0)=\($1)" })
        }
        defer { process.cancel() }
        let query = JobQuery(states: [.running], queue: DemoJobPlan.killedQueue)
        let end = ContinuousClock.now + maxStandstill
        var running: [JobID] = []
        while running.count < DemoJobPlan.count(of: .killed), ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(20))
            running = try await jobs.jobs(matching: query).jobs.map(\.id)
        }
        process.cancel()
        _ = await process.value
        return running
    }

    // MARK: The end

    /// Waits until all jobs have ended, or until no job has ended for ``maxStandstill``.
    private func waitForEnd(of jobs: Jobs) async throws {
        var ended = -1
        var lastProgress = ContinuousClock.now
        while true {
            let counts = try await jobs.counts()
            let unfinished = counts.reduce(0) { $0 + $1.unfinished }
            let now = counts.reduce(0) { $0 + $1.total } - unfinished
            progress.set("ended", min(now, DemoJobPlan.total))
            guard unfinished > 0 else { return }
            if now != ended { (ended, lastProgress) = (now, .now) }
            guard ContinuousClock.now - lastProgress < maxStandstill else { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

extension JobsVerdict.Facts {
    /// Reads all jobs, and the attempts of the jobs that failed or were killed.
    mutating func read(from jobs: Jobs) async throws {
        var query = JobQuery(limit: 1_000)
        repeat {
            let page = try await jobs.jobs(matching: query)
            for job in page.jobs {
                let work = try job.decoded(as: DemoJob.self)
                guard work.kind != .tick else {
                    ticks.append(job)
                    continue
                }
                self.jobs[work.number] = JobsVerdict.StoredJob(kind: work.kind, record: job)
                if [.failsTwice, .failsAlways, .killed].contains(work.kind) {
                    attempts[job.id] = try await jobs.attempts(of: job.id)
                }
            }
            query.before = page.next
        } while query.before != nil
    }
}
