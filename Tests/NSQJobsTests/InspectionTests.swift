import GRDB
import TallyBasics
import TestKit
import Testing

@testable import NSQJobs

@Suite struct `The timings of jobs` {
    @Test func `have an upper bound that is at most a quarter too high`() {
        for value: Int64 in [0, 1, 3, 4, 5, 7, 8, 100, 12_345, 1 << 40, 1 << 52] {
            for value in [value, value + 1] {
                let bucket = JobTiming.bucket(of: .microseconds(value))
                let bound = JobTiming.upperBound(of: bucket)
                #expect(bound >= value)
                #expect(bound <= max(value, value + value / 4))
                #expect(bucket < JobTiming.bucketCount)
            }
        }
        #expect(JobTiming.bucket(of: .seconds(-5)) == 0)
    }

    @Test func `give quantiles, and what was added since an earlier reading`() {
        var timing = JobTiming()
        #expect(timing.quantile(0.5) == nil)
        timing.add(9, bucket: 1)
        let earlier = timing
        timing.add(1, bucket: 3)
        #expect(timing.quantile(0.5) == 1)
        #expect(timing.quantile(0.95) == 3)
        #expect(timing.subtracting(earlier).counts == [3: 1])
    }
}

@Suite struct `The inspection of a store` {
    private let failure = JobOutcome.fail(
        error: "no route to host 17\nat line 3", retryAfter: .zero)

    @Test func `groups failed jobs by name and error, with numbers replaced`() async throws {
        let fixture = try await StoreFixture()
        let first = try await fixture.running(NewJob(name: "a"))
        let second = try await fixture.running(NewJob(name: "a"))
        let other = try await fixture.running(NewJob(name: "b"))
        for job in [first, other] { _ = try await fixture.settle(job, failure) }
        _ = try await fixture.settle(
            second, .discard(reason: "no route to host 4242"), at: fixture.start + .seconds(2))
        var groups = try await fixture.store.snapshot().errors
        #expect(groups.map(\.error) == ["no route to host #", "no route to host #"])
        #expect(groups.map(\.count) == [2, 1])
        #expect(groups[0].latestJob == second.id)
        #expect(try await ids(fixture, JobQuery(errorGroup: groups[0].number)) == [2, 1])
        let discarded = JobQuery(states: [.discarded], errorGroup: groups[0].number)
        #expect(try await ids(fixture, discarded) == [2])
        #expect(
            try await fixture.store.preview(of: JobQuery(errorGroup: groups[0].number))
                == JobQueryPreview(count: 2, isComplete: true))
        // A retried job no longer counts as failed.
        _ = try await fixture.store.change(second.id, .retry, at: fixture.start)
        groups = try await fixture.store.snapshot().errors
        #expect(groups.map(\.count) == [1, 1])
        let rule = PruneRule(states: [.completed, .discarded, .cancelled], olderThan: .zero)
        _ = try await fixture.store.change(other.id, .discard, at: fixture.start)
        _ = try await fixture.store.change(first.id, .cancel, at: fixture.start)
        _ = try await fixture.store.prune(
            rule, limit: 100, at: fixture.start + .seconds(9))
        #expect(try await fixture.store.snapshot().errors.isEmpty)
    }

    @Test func `selects the failed jobs of a batch only, if a query names both`() async throws {
        let fixture = try await StoreFixture()
        let other = try await fixture.running(NewJob(name: "a"))
        _ = try await fixture.settle(other, failure)
        let (batch, result) = try await fixture.store.enqueueBatch(
            [NewJob(name: "a")], then: nil, at: fixture.start)
        let member = try await fixture.claim(result.receipts[0].id)
        _ = try await fixture.settle(member, failure)
        let group = try await fixture.store.snapshot().errors[0]
        #expect(group.count == 2)
        let query = JobQuery(batch: batch, errorGroup: group.number)
        #expect(try await ids(fixture, query) == [member.id.number])
        #expect(try await fixture.store.preview(of: query).count == 1)
    }

    @Test func `measures waits and durations by queue`() async throws {
        let fixture = try await StoreFixture()
        let id = try await fixture.enqueue(NewJob(name: "n"))[0].id
        let job = try await fixture.claim(id, at: fixture.start + .milliseconds(80))
        _ = try await fixture.settle(job, .complete, at: fixture.start + .milliseconds(1_080))
        let queue = try #require(try await fixture.store.snapshot().queues.first)
        let wait = try #require(queue.timings[.wait]?.quantile(1))
        let duration = try #require(queue.timings[.completed]?.quantile(1))
        #expect((80_000...100_000).contains(wait))
        #expect((1_000_000...1_250_000).contains(duration))
        #expect(queue.timings[.failed] == nil)
        #expect(queue.oldestDue == nil)
    }

    @Test func `lists live workers with their memory, and running jobs`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        try await fixture.store.updateWorker(fixture.worker, isStopped: false, at: fixture.start)
        let snapshot = try await fixture.store.snapshot()
        #expect(snapshot.workers.map(\.name) == ["w1"])
        #expect(snapshot.workers[0].memory ?? 0 > 1 << 20)
        #expect(snapshot.running.map(\.id) == [job.id])
        #expect(snapshot.running[0].worker == fixture.worker)
        try await fixture.store.updateWorker(fixture.worker, isStopped: true, at: fixture.start)
        #expect(try await fixture.store.snapshot().workers.isEmpty)
    }

    @Test func `finds a text in name, arguments, tags, key and error`() async throws {
        let fixture = try await StoreFixture()
        _ = try await fixture.enqueue(
            NewJob(name: "Report"), NewJob(name: "n", arguments: #"{"to":"a REPORT"}"#),
            NewJob(name: "n", options: JobOptions(tags: ["reports", ","])),
            NewJob(name: "n", uniqueKey: "report-7"), NewJob(name: "n"))
        let job = try await fixture.claim(JobID(5))
        _ = try await fixture.settle(job, .fail(error: "no report", retryAfter: .zero))
        _ = try await fixture.enqueue(NewJob(name: "n"), NewJob(name: "100%"))
        #expect(try await ids(fixture, JobQuery(text: "report")) == [5, 4, 3, 2, 1])
        #expect(try await ids(fixture, JobQuery(text: "%")) == [7])
        #expect(try await ids(fixture, JobQuery(tag: ",")) == [3])
        #expect(try await ids(fixture, JobQuery(tag: #"",""#)) == [])
    }

    @Test func `keeps the latest 1,000 actions`() async throws {
        let fixture = try await StoreFixture()
        for number in 0..<1_003 {
            try await fixture.store.record(
                NewJobAction("retry", target: "job \(number)"), at: fixture.start)
        }
        let first = try await fixture.store.actions(before: nil, limit: 5)
        #expect(first.map(\.action.target) == (998...1_002).reversed().map { "job \($0)" })
        let all = try await fixture.store.actions(before: nil, limit: 5_000)
        #expect(all.count == 1_000)
        let next = try await fixture.store.actions(before: first.last?.number, limit: 1)
        #expect(next.map(\.action.target) == ["job 997"])
    }

    @Test(arguments: [JobQuery(tag: "rare"), JobQuery(states: [.available], tag: "rare")])
    func `reads a bounded number of rows by one call, and finds all in several`(
        query: JobQuery
    ) async throws {
        let fixture = try await StoreFixture()
        let rare: Set<Int> = [0, 1, 4_999, 5_000, 11_000, 11_999]
        for start in stride(from: 0, to: 12_000, by: 4_000) {
            let jobs = (start..<start + 4_000).map { index in
                let queue = ["a", "b", "c"][index % 7 % 3]
                return NewJob(
                    name: "n",
                    options: JobOptions(queue: queue, tags: rare.contains(index) ? ["rare"] : []))
            }
            _ = try await fixture.store.enqueue(jobs, publishing: nil, at: fixture.start)
        }
        var query = query
        query.limit = 4
        var (found, pages): ([Int64], Int) = ([], 0)
        repeat {
            let page = try await fixture.store.jobs(matching: query)
            found += page.jobs.map(\.id.number)
            query.before = page.next
            pages += 1
        } while query.before != nil
        #expect(found == rare.sorted(by: >).map { Int64($0 + 1) })
        #expect(pages >= 2)
        let preview = try await fixture.store.preview(of: JobQuery(name: "n"))
        #expect(preview.count <= 10_000 && !preview.isComplete)
    }

    @Test func `has the jobs that an older version has stored`() async throws {
        let queue = try DatabaseQueue()
        let store = try SQLiteJobStore(in: queue, requiresSync: false)
        let now = JobTime(microseconds: 1_700_000_000_000_000)
        let worker = try await store.registerWorker(
            NewWorker(name: "w", queues: ["default"], concurrency: 1), at: now)
        let jobs = (1...3).map { NewJob(name: "n\($0 % 2)") }
        _ = try await store.enqueue(jobs, publishing: nil, at: now)
        let claimed = try await store.claimNext(
            limit: 2, worker: worker, lease: .seconds(30), at: now)
        let ends = claimed.map {
            Settlement($0.claim!, .fail(error: "error \($0.id)", retryAfter: .seconds(9)))
        }
        _ = try await store.settle(ends, at: now)
        let before = try await store.snapshot().errors.map(\.error)
        try await queue.write { database in
            for statement in [
                "DROP INDEX nsq_jobs_worker_live",
                "ALTER TABLE nsq_jobs_worker DROP COLUMN memory",
                "DROP TABLE nsq_jobs_timing", "DROP TABLE nsq_jobs_error",
                "DROP TRIGGER nsq_jobs_failure_deleted", "DROP TABLE nsq_jobs_failure",
                "DROP TABLE nsq_jobs_action",
            ] {
                try database.execute(sql: statement)
            }
            try SQLiteSchema.createInspectionTables(database)
        }
        let groups = try await store.snapshot().errors
        #expect(groups.map(\.error) == before)
        #expect(groups.map(\.error) == ["error #", "error #"])
        #expect(try await store.names(prefix: "", limit: 100) == ["n0", "n1"])
        let query = JobQuery(errorGroup: groups[0].number)
        #expect(try await store.jobs(matching: query).jobs.count == 1)
    }

    @Test func `uses an index for each query`() async throws {
        let queue = try DatabaseQueue()
        _ = try SQLiteJobStore(in: queue, requiresSync: false)
        let queries = [
            "SELECT due_at FROM nsq_jobs_job WHERE queue_id = 1 AND state = 1 AND state <> 2 "
                + "ORDER BY id LIMIT 20",
            "SELECT id FROM nsq_jobs_job INDEXED BY nsq_jobs_job_lease WHERE state = 2 LIMIT 5",
            "SELECT id FROM nsq_jobs_worker WHERE stopped_at IS NULL ORDER BY seen_at DESC LIMIT 5",
            "SELECT id FROM nsq_jobs_error WHERE count > 0 ORDER BY count DESC LIMIT 5",
            "SELECT job.id FROM nsq_jobs_failure AS failure "
                + "JOIN nsq_jobs_job AS job ON job.id = failure.job_id "
                + "WHERE failure.error_id = 1 AND failure.job_id < 9 "
                + "ORDER BY failure.job_id DESC LIMIT 5",
            "SELECT job.id FROM nsq_jobs_job AS job WHERE id < 9 AND name = 'n' "
                + "ORDER BY id DESC LIMIT 5",
            "SELECT id FROM nsq_jobs_action WHERE id < 9 ORDER BY id DESC LIMIT 5",
        ]
        for query in queries {
            let plan = try await queue.read { database in
                try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + query)
                    .map { $0["detail"] as String }
            }
            // A scan of a partial index reads only the rows of the index, up to the limit.
            #expect(
                plan.allSatisfy {
                    $0.hasPrefix("SEARCH") || $0.contains("INDEX nsq_jobs_job_lease")
                        || $0.contains("INDEX nsq_jobs_worker_live")
                }, "\(plan)")
        }
    }

    private func ids(_ fixture: StoreFixture, _ query: JobQuery) async throws -> [Int64] {
        try await fixture.store.jobs(matching: query).jobs.map(\.id.number)
    }
}
