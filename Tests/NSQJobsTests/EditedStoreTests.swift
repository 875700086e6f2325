import GRDB
import NSQJobs
import TallyBasics
import Testing

/// Numbers that no store writes, as somebody who edits the database can leave them. A trap would end the
/// process of the tests.
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
}
