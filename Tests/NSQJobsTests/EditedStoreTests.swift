import GRDB
import NSQJobs
import TallyBasics
import Testing

/// Numbers that the store never writes, but that a person who edits the database can leave there. A
/// trap would end the process of the tests.
@Suite struct `A store with impossible numbers` {
    private static let numbers: [Int64] = [.max, .min, -1, 1 << 62 + 1]
    private static let columns = [
        "priority", "state", "version", "attempt", "max_attempts", "due_at", "publish_at",
        "publish_count", "lease_until", "worker_id", "started_at", "finished_at", "created_at",
        "first_delay", "max_delay", "timeout", "unique_states",
    ]
    private let start = JobTime(microseconds: 1_700_000_000_000_000)

    /// Calls everything that reads or changes jobs. An error is an answer, too.
    private func useEverything(_ store: SQLiteJobStore, worker: Int64) async {
        let policy = PublishPolicy()
        _ = try? await store.sweep(limit: 10, policy: policy, at: start)
        for id in [JobID(1), JobID(2)] {
            _ = try? await store.job(id)
            _ = try? await store.attempts(of: id)
            for change in [JobChange.retry, .cancel, .discard] {
                _ = try? await store.change(id, change, at: start)
            }
        }
        let claimed = try? await store.claimNext(
            limit: 10, worker: worker, lease: .seconds(30), at: start)
        let claims = (claimed ?? []).compactMap(\.claim)
        _ = try? await store.renew(claims, lease: .seconds(30))
        _ = try? await store.settle(
            (claimed ?? []).compactMap { job in
                let delay = job.retry.delay(afterAttempt: job.attempt, seed: 1)
                return job.claim.map { Settlement($0, .fail(error: "e", retryAfter: delay)) }
            }, at: start)
        _ = try? await store.jobs(matching: JobQuery())
        _ = try? await store.expireLeases(limit: 10, at: start + .seconds(3600))
        _ = try? await store.makeDueJobsAvailable(limit: 10, at: start + .seconds(3600))
        _ = try? await store.counts()
        _ = try? await store.workers()
        _ = try? await store.prune(
            PruneRule(olderThan: .zero), limit: 1, at: start + .seconds(7200))
    }

    private func withStore(
        _ body: (SQLiteJobStore, DatabaseQueue, _ worker: Int64) async throws -> Void
    ) async throws {
        let queue = try DatabaseQueue()
        let store = try SQLiteJobStore(in: queue, requiresSync: false)
        let worker = try await store.registerWorker(
            NewWorker(name: "w", queues: ["default"], concurrency: 1), at: start)
        _ = try await store.enqueue(
            [NewJob(name: "a"), NewJob(name: "b", dueAt: start + .seconds(60))],
            publishing: nil, at: start)
        try await body(store, queue, worker)
    }

    @Test(arguments: numbers) func `answers in each column of a job`(number: Int64) async throws {
        for column in Self.columns {
            try await withStore { store, queue, worker in
                try await queue.write { database in
                    try database.execute(
                        sql: "UPDATE nsq_jobs_job SET \(column) = ?", arguments: [number])
                }
                await useEverything(store, worker: worker)
            }
        }
    }

    @Test(arguments: numbers) func `answers in the ID of a job`(number: Int64) async throws {
        try await withStore { store, queue, worker in
            try await queue.write { database in
                try database.execute(
                    sql: "UPDATE nsq_jobs_job SET id = ? WHERE id = 1", arguments: [number])
            }
            await useEverything(store, worker: worker)
            _ = try? await store.change(JobID(number), .discard, at: start)
            _ = try? await store.prune(
                PruneRule(olderThan: .zero), limit: 1, at: start + .seconds(7200))
        }
    }

    @Test(arguments: numbers) func `refuses to enqueue with such a next ID`(
        number: Int64
    ) async throws {
        try await withStore { store, queue, worker in
            try await queue.write { database in
                try database.execute(
                    sql: "UPDATE nsq_jobs_meta SET next_id = ?", arguments: [number])
            }
            let error = await #expect(throws: JobsError.self) {
                _ = try await store.enqueue([NewJob(name: "c")], publishing: nil, at: start)
            }
            #expect(error?.code == .storeFailed)
        }
    }

    @Test(arguments: numbers)
    func `answers in each column of numbers of each table`(number: Int64) async throws {
        let columns = try await integerColumns()
        #expect(columns.count > 60)
        for (table, column) in columns {
            try await withFilledStore { store, queue, worker in
                try await queue.write { database in
                    // A constraint can refuse the number. The store then cannot contain it, so there
                    // is nothing to test.
                    try database.execute(
                        sql: "UPDATE OR IGNORE \(table) SET \(column) = ?", arguments: [number])
                }
                await useEverything(store, worker: worker)
                await inspect(store)
            }
        }
    }

    private func integerColumns() async throws -> [(table: String, column: String)] {
        let queue = try DatabaseQueue()
        _ = try SQLiteJobStore(in: queue, requiresSync: false)
        return try await queue.read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT tables.name, columns.name FROM sqlite_schema AS tables
                    JOIN pragma_table_info(tables.name) AS columns
                    WHERE tables.type = 'table' AND tables.name LIKE 'nsq_jobs_%'
                        AND columns.type = 'INTEGER' AND columns.name <> 'schema_version'
                    """
            ).map { ($0[0], $0[1]) }
        }
    }

    /// A store with limits, a batch, a dependency, a schedule, a failure and a second queue.
    private func withFilledStore(
        _ body: (SQLiteJobStore, DatabaseQueue, _ worker: Int64) async throws -> Void
    ) async throws {
        try await withStore { store, queue, worker in
            let limit = JobLimit(maxRunning: 1, rate: .init(2, per: .seconds(60)))
            try await store.setLimit(limit, queue: "limited", isPerKey: false)
            try await store.setLimit(limit, queue: "limited", isPerKey: true)
            let options = JobOptions(queue: "limited")
            let jobs = (0..<4).map { _ in NewJob(name: "l", options: options, limitKey: "k") }
            _ = try await store.enqueue(jobs, publishing: nil, at: start)
            _ = try await store.enqueueBatch(
                [NewJob(name: "m")], then: NewJob(name: "callback"), at: start)
            var waiting = NewJob(name: "w")
            waiting.dependencies = JobDependencies([JobID(2)], onFailure: .cancel)
            _ = try await store.enqueue([waiting], publishing: nil, at: start)
            try await store.store(
                CronSchedule(
                    name: "nightly", CronExpression("0 3 * * *"),
                    job: NewJob(name: "c")), at: start)
            let claimed = try await store.claimNext(
                limit: 2, worker: worker, lease: .seconds(30), at: start)
            _ = try await store.settle(
                claimed.prefix(1).compactMap { job in
                    job.claim.map { Settlement($0, .fail(error: "e 1", retryAfter: .zero)) }
                }, at: start)
            try await store.record(NewJobAction("retry", target: "job 1"), at: start)
            try await body(store, queue, worker)
        }
    }

    /// Calls the methods that serve a page or a person.
    private func inspect(_ store: SQLiteJobStore) async {
        let counts = (try? await store.counts()) ?? []
        for queue in counts { _ = queue.total + queue.unfinished }
        _ = try? await store.snapshot()
        _ = try? await store.actions(before: nil, limit: 10)
        _ = try? await store.schedules()
        _ = try? await store.batch(JobBatchID(1))
        _ = try? await store.names(prefix: "", limit: 10)
        let queries = [
            JobQuery(), JobQuery(queue: "limited"), JobQuery(states: [.running, .retryable]),
            JobQuery(queue: "default", name: "a"), JobQuery(batch: JobBatchID(1)),
            JobQuery(errorGroup: 1), JobQuery(text: "e"),
        ]
        for query in queries {
            _ = try? await store.jobs(matching: query)
            _ = try? await store.preview(of: query)
        }
        for hours in [1, 48] {
            _ = try? await store.sweep(
                limit: 10, policy: PublishPolicy(), at: start + .seconds(3600 * hours))
        }
        for id in 1...8 { _ = try? await store.dependencies(of: JobID(Int64(id))) }
    }
}
