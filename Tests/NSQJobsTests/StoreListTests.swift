import GRDB
import NSQJobs
import TallyBasics
import TestKit
import Testing

@Suite struct `The store's lists` {
    @Test func `have all jobs once, in pages of any size`() async throws {
        let fixture = try await StoreFixture()
        for index in 0..<30 {
            let queue = ["a", "b", "c"][index % 3]
            _ = try await fixture.enqueue(
                NewJob(
                    name: index % 5 == 0 ? "rare" : "n",
                    options: JobOptions(queue: queue, tags: index % 2 == 0 ? ["even"] : []),
                    dueAt: index % 4 == 0 ? fixture.start + .seconds(60) : nil))
        }
        _ = try await fixture.claim(JobID(2))
        func all(_ query: JobQuery, limit: Int) async throws -> [Int64] {
            var (query, ids): (JobQuery, [Int64]) = (query, [])
            query.limit = limit
            repeat {
                let page = try await fixture.store.jobs(matching: query)
                #expect(page.jobs.count <= limit)
                ids += page.jobs.map(\.id.number)
                query.before = page.next
            } while query.before != nil
            return ids
        }
        let numbers = Array((Int64(1)...30).reversed())
        for limit in [1, 2, 7, 30, 1_000] {
            #expect(try await all(JobQuery(), limit: limit) == numbers)
            #expect(
                try await all(JobQuery(queue: "b"), limit: limit) == numbers.filter { $0 % 3 == 2 })
            #expect(
                try await all(JobQuery(states: [.scheduled]), limit: limit)
                    == numbers.filter { $0 % 4 == 1 })
            #expect(try await all(JobQuery(states: [.running]), limit: limit) == [2])
            #expect(
                try await all(JobQuery(states: [.running, .available], queue: "b"), limit: limit)
                    == numbers.filter { $0 % 3 == 2 && $0 % 4 != 1 })
            #expect(
                try await all(JobQuery(name: "rare", tag: "even"), limit: limit)
                    == numbers.filter { $0 % 10 == 1 })
        }
        #expect(try await all(JobQuery(queue: "unknown"), limit: 5) == [])
    }

    @Test func `use an index for each query that runs often`() async throws {
        let queue = try DatabaseQueue()
        _ = try SQLiteJobStore(in: queue, requiresSync: false)
        let queries = [
            "SELECT id FROM nsq_jobs_job WHERE state = 1 AND queue_id = 1 AND priority = 1 "
                + "AND publish_at <= 5 ORDER BY publish_at, id LIMIT 9",
            "SELECT id FROM nsq_jobs_job WHERE state IN (0, 3) AND hold IS NULL AND due_at <= 5 "
                + "ORDER BY due_at, id LIMIT 9",
            "SELECT id FROM nsq_jobs_job WHERE state = 2 AND lease_until <= 5 "
                + "ORDER BY lease_until LIMIT 9",
            "SELECT id FROM nsq_jobs_job WHERE queue_id = 1 AND state = 4 AND state <> 2 "
                + "AND id < 7 ORDER BY id DESC LIMIT 9",
            "SELECT id FROM nsq_jobs_job WHERE queue_id = 1 AND hold = 2 ORDER BY priority, id LIMIT 1",
            "SELECT id FROM nsq_jobs_job WHERE queue_id = 1 AND limit_key = 'k' AND hold = 1 "
                + "ORDER BY priority, id LIMIT 1",
            "SELECT id FROM nsq_jobs_job WHERE queue_id = 1 AND limit_key = 'k' AND hold IN (2, 3)",
            "SELECT id FROM nsq_jobs_job WHERE queue_id = 1 AND limit_key = 'k' AND state = 2",
            "SELECT id FROM nsq_jobs_job WHERE queue_id = 1 AND hold IS NOT NULL AND hold <= 2 "
                + "AND (hold, priority, id) > (1, 1, 7) ORDER BY hold, priority, id LIMIT 9",
            "SELECT wake_at FROM nsq_jobs_limit_wake_up WHERE wake_at <= 5 ORDER BY wake_at LIMIT 9",
            "SELECT id FROM nsq_jobs_job WHERE name = 'n' AND id < 7 ORDER BY id DESC LIMIT 9",
            "SELECT name FROM nsq_jobs_job WHERE name > 'n' ORDER BY name LIMIT 1",
            "SELECT id FROM nsq_jobs_job WHERE state = 4 AND state >= 4 AND finished_at < 7 "
                + "ORDER BY finished_at LIMIT 9",
            "SELECT id FROM nsq_jobs_job WHERE batch_id = 1 AND id < 7 ORDER BY id DESC LIMIT 9",
            "SELECT id FROM nsq_jobs_job WHERE unique_lock = 'x' AND is_unique = 1",
            "SELECT id FROM nsq_jobs_job WHERE name = 'n' AND unique_key = 'k' "
                + "ORDER BY id DESC LIMIT 1",
        ]
        for query in queries {
            let plan = try await queue.read { database in
                try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + query)
                    .map { $0["detail"] as String }
            }
            #expect(plan.allSatisfy { $0.hasPrefix("SEARCH") && $0.contains("INDEX") }, "\(plan)")
        }
    }

    @Test func `find the running jobs of a queue in the index of all running jobs`() async throws {
        let queue = try DatabaseQueue()
        _ = try SQLiteJobStore(in: queue, requiresSync: false)
        let query = """
            SELECT id FROM nsq_jobs_job INDEXED BY nsq_jobs_job_lease
            WHERE queue_id = 1 AND state = 2 AND id < 7 ORDER BY id DESC LIMIT 9
            """
        let plan = try await queue.read { database in
            try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + query)
                .map { $0["detail"] as String }
        }
        // The index contains only running jobs, and there are at most as many as the workers have
        // slots.
        #expect(plan.first == "SCAN nsq_jobs_job USING INDEX nsq_jobs_job_lease")
    }

    @Test func `have the names of jobs in order`() async throws {
        let jobs = try await Jobs.manual()
        for name in ["b", "ab", "a", "aé", "ab", "B", "a%"] {
            try await jobs.enqueue(NewJob(name: name))
        }
        #expect(try await jobs.names() == ["B", "a", "a%", "ab", "aé", "b"])
        #expect(try await jobs.names(withPrefix: "a", limit: 3) == ["a", "a%", "ab"])
        #expect(try await jobs.names(withPrefix: "c") == [])
        for limit in [0, 1_001] {
            await #expect(throws: JobsError.self) { try await jobs.names(limit: limit) }
        }
        await jobs.stop()
    }

    @Test func `delete final jobs by age and by number, in portions`() async throws {
        let fixture = try await StoreFixture()
        for second in 0..<10 {
            let job = try await fixture.running()
            let end = fixture.start + .seconds(second)
            #expect(try await fixture.settle(job, .complete, at: end))
        }
        let discarded = try await fixture.running()
        #expect(try await fixture.settle(discarded, .discard(reason: "x")))
        let waiting = try await fixture.enqueue(NewJob(name: "n"))[0].id
        func prune(_ rule: PruneRule) async throws -> Int {
            var (deleted, count) = (0, 3)
            while count == 3 {
                count = try await fixture.store.prune(
                    rule, limit: 3, at: fixture.start + .seconds(10))
                #expect(count <= 3)
                deleted += count
            }
            return deleted
        }
        #expect(try await prune(PruneRule()) == 0)
        #expect(try await prune(PruneRule(states: [.completed], olderThan: .seconds(8))) == 2)
        #expect(try await fixture.counts() == [.completed: 8, .discarded: 1, .available: 1])
        #expect(try await prune(PruneRule(keepingAtMost: 5)) == 3)
        #expect(try await fixture.counts() == [.completed: 5, .discarded: 1, .available: 1])
        #expect(try await prune(PruneRule(olderThan: .seconds(-1))) == 6)
        #expect(try await fixture.counts() == [.available: 1])
        #expect(try await fixture.store.attempts(of: discarded.id) == [])
        #expect(try await fixture.store.job(waiting) != nil)
    }

    @Test func `count what is there, after any changes`() async throws {
        var generator = SeededGenerator()
        let fixture = try await StoreFixture()
        var now = fixture.start
        for _ in 0..<400 {
            now = now + .seconds(Int.random(in: 0...3, using: &generator))
            try await change(fixture, at: now, &generator)
        }
        let counts = try await fixture.counts()
        var found: [JobState: Int] = [:]
        let page = try await fixture.store.jobs(matching: JobQuery(limit: 1_000))
        for job in page.jobs { found[job.state, default: 0] += 1 }
        #expect(counts == found, "\(generator.repetition(of: "StoreListTests"))")
        #expect(found.count >= 2)
    }

    private func change(
        _ fixture: StoreFixture, at now: JobTime, _ generator: inout SeededGenerator
    ) async throws {
        let store = fixture.store
        let id = JobID(Int64.random(in: 1...100, using: &generator))
        let outcomes: [JobOutcome] = [
            .complete, .fail(error: "x", retryAfter: .seconds(2)), .snooze(.seconds(2)), .release,
            .discard(reason: "x"), .cancel(reason: "x"),
        ]
        let changes: [JobChange] = [.cancel, .discard, .retry, .edit(JobEdit(priority: .low))]
        switch Int.random(in: 0..<8, using: &generator) {
        case 0, 1:
            let due = Bool.random(using: &generator) ? now + .seconds(2) : nil
            let key = Bool.random(using: &generator) ? "k\(id.number % 7)" : nil
            let job = NewJob(name: "n", uniqueKey: key, dueAt: due)
            _ = try await store.enqueue([job], publishing: nil, at: now)
        case 2: _ = try await store.makeDueJobsAvailable(limit: 5, at: now)
        case 3:
            fixture.leases.advance(by: .seconds(7))
            _ = try await store.expireLeases(limit: 5, at: now)
        case 4:
            let rule = PruneRule(olderThan: .seconds(60))
            _ = try await store.prune(rule, limit: 20, at: now)
        case 5:
            _ = try? await store.change(id, changes.randomElement(using: &generator)!, at: now)
        default:
            let jobs = try await store.claimNext(
                limit: 2, worker: fixture.worker, lease: fixture.lease, at: now)
            guard let job = jobs.first else { return }
            _ = try await store.settle(
                [Settlement(job.claim!, outcomes.randomElement(using: &generator)!)], at: now)
        }
    }
}
