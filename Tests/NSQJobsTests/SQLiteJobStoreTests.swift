import GRDB
import NSQJobs
import TallyBasics
import Testing

@Suite struct `The store of jobs` {
    @Test func `stores all fields of a job`() async throws {
        let fixture = try await StoreFixture()
        let retry = JobRetryPolicy(
            maxAttempts: 7, firstDelay: .seconds(2), maxDelay: .seconds(9), jitter: 0.5)
        let job = NewJob(
            name: "Mail", arguments: #"{"a":"ü"}"#,
            options: JobOptions(
                queue: "mail", priority: .high, tags: ["x", "y\"z"], retry: retry,
                timeout: .milliseconds(1500)),
            uniqueKey: "k", dueAt: fixture.start + .seconds(60))
        let receipt = try await fixture.enqueue(job)[0]
        #expect(receipt.kind == .new)
        let record = try #require(try await fixture.store.job(receipt.id))
        #expect(
            record.queue == "mail" && record.name == "Mail" && record.arguments == job.arguments)
        #expect(record.priority == .high && record.tags == ["x", "y\"z"])
        #expect(record.retry == retry && record.timeout == .milliseconds(1500))
        #expect(record.uniqueKey == "k" && record.createdAt == fixture.start)
        #expect(record.state == .scheduled && record.dueAt == fixture.start + .seconds(60))
        #expect(record.attempt == 0 && record.maxAttempts == 7 && record.version == 1)
        let latest = try await fixture.store.latestJob(name: "Mail", uniqueKey: "k")
        #expect(latest == record)
        #expect(try await fixture.counts("mail") == [.scheduled: 1])
    }

    @Test func `claims a job once, by its version`() async throws {
        let fixture = try await StoreFixture()
        let id = try await fixture.enqueue(NewJob(name: "n"))[0].id
        let reference = JobReference(id: id, version: 1)
        let results = try await fixture.store.claim(
            [reference, reference, JobReference(id: JobID(99), version: 1)],
            worker: fixture.worker, lease: .seconds(30), at: fixture.start
        ).results
        guard case .claimed(let job) = results[0], case .held = results[1],
            case .stale = results[2]
        else { throw StoreFixture.NotClaimed(result: results[0]) }
        #expect(job.state == .running && job.attempt == 1 && job.version == 2)
        #expect(job.startedAt == fixture.start)
        #expect(try await fixture.counts() == [.running: 1])
    }

    @Test func `keeps the error, the worker and the times of each attempt`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        #expect(
            try await fixture.settle(
                job, .fail(error: "no route", retryAfter: .seconds(5)),
                at: fixture.start + .seconds(1)))
        let failed = try #require(try await fixture.store.job(job.id))
        #expect(failed.state == .retryable && failed.note == "no route")
        let later = fixture.start + .seconds(6)
        #expect(try await fixture.store.makeDueJobsAvailable(limit: 10, at: later) == 1)
        let again = try await fixture.claim(job.id, at: later)
        #expect(try await fixture.settle(again, .complete, at: later + .seconds(2)))
        let attempts = try await fixture.store.attempts(of: job.id)
        #expect(attempts.map(\.result) == [.failed, .completed])
        #expect(attempts.map(\.error) == ["no route", nil])
        #expect(attempts.map(\.worker) == ["w1", "w1"] && attempts.map(\.number) == [1, 2])
        #expect(attempts[0].endedAt - attempts[0].startedAt == .seconds(1))
        #expect(attempts[1].endedAt - attempts[1].startedAt == .seconds(2))
    }

    @Test func `refuses a settlement of a claim that is not held any more`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        fixture.leases.advance(by: .seconds(31))
        #expect(try await fixture.store.expireLeases(limit: 10, at: fixture.start) == 1)
        #expect(try await fixture.settle(job, .complete) == false)
        #expect(try await fixture.store.renew([job.claim!], lease: .seconds(30)) == [.lost])
        #expect(try await fixture.counts() == [.available: 1])
        let attempts = try await fixture.store.attempts(of: job.id)
        #expect(attempts.map(\.result) == [.leaseExpired])
    }

    @Test func `keeps a renewed lease`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        for _ in 0..<5 {
            fixture.leases.advance(by: .seconds(20))
            #expect(try await fixture.store.renew([job.claim!], lease: .seconds(30)) == [.renewed])
            #expect(try await fixture.store.expireLeases(limit: 10, at: fixture.start) == 0)
        }
        #expect(try await fixture.settle(job, .complete))
    }

    @Test func `requests the cancellation of a running job`() async throws {
        let fixture = try await StoreFixture()
        let (job, other) = (try await fixture.running(), try await fixture.running())
        let claims = [job.claim!, other.claim!]
        #expect(try await fixture.store.cancellations(of: claims) == [])
        let changed = try await fixture.store.change(job.id, .cancel, at: fixture.start)
        #expect(changed.state == .running && changed.isCancelRequested)
        #expect(try await fixture.store.cancellations(of: claims) == [job.claim!])
        #expect(
            try await fixture.store.renew(claims, lease: .seconds(30))
                == [.cancelRequested, .renewed])
        #expect(try await fixture.settle(job, .cancel(reason: "asked")))
        #expect(try await fixture.counts() == [.running: 1, .cancelled: 1])
    }

    @Test func `ends all leases after a restart of the machine`() async throws {
        let queue = try DatabaseQueue()
        let leases = ManualLeaseClock()
        let start = JobTime(microseconds: 1)
        func open(_ boot: String) throws -> SQLiteJobStore {
            try SQLiteJobStore(
                in: queue, requiresSync: false, leaseClock: leases.clock(bootID: boot))
        }
        let store = try open("one")
        let id = try await store.enqueue([NewJob(name: "n")], publishing: nil, at: start)
            .receipts[0].id
        _ = try await store.claim(
            [JobReference(id: id, version: 1)], worker: 1, lease: .seconds(30), at: start)
        #expect(try await open("one").expireLeases(limit: 10, at: start) == 0)
        #expect(try await open("two").expireLeases(limit: 10, at: start) == 1)
    }

    @Test func `never assigns an ID twice`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        #expect(try await fixture.settle(job, .complete))
        let progress = try await fixture.store.prune(
            PruneRule(keepingAtMost: 0), limit: 10, at: fixture.start)
        #expect(progress == 1)
        #expect(try await fixture.enqueue(NewJob(name: "n"))[0].id > job.id)
    }

    @Test func `changes a waiting job, and moves it to another queue`() async throws {
        let fixture = try await StoreFixture()
        let id = try await fixture.enqueue(NewJob(name: "n"))[0].id
        let edit = JobEdit(
            queue: "other", arguments: "[1]", priority: .low, tags: ["t"],
            dueAt: fixture.start + .seconds(9), maxAttempts: 2)
        let job = try await fixture.store.change(id, .edit(edit), at: fixture.start)
        #expect(job.queue == "other" && job.arguments == "[1]" && job.priority == .low)
        #expect(job.tags == ["t"] && job.state == .scheduled && job.maxAttempts == 2)
        #expect(try await fixture.counts() == [:])
        #expect(try await fixture.counts("other") == [.scheduled: 1])
        let same = try await fixture.store.change(id, .edit(JobEdit(tags: [])), at: fixture.start)
        #expect(same.arguments == "[1]" && same.tags == [] && same.queue == "other")
    }

    @Test func `has typed errors for unknown jobs, unknown queues and illegal changes`()
        async throws
    {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        func code(_ body: () async throws -> Void) async throws -> JobsError.Code? {
            do { try await body() } catch let error as JobsError { return error.code }
            return nil
        }
        let store = fixture.store
        let start = fixture.start
        #expect(
            try await code { _ = try await store.change(JobID(99), .cancel, at: start) }
                == .unknownJob)
        #expect(
            try await code { _ = try await store.change(job.id, .retry, at: start) }
                == .invalidTransition)
        #expect(
            try await code { try await store.setPaused(true, queue: "x") } == .unknownQueue)
        #expect(
            try await code { _ = try await store.jobs(matching: JobQuery(limit: 0)) }
                == .invalidOption)
    }
}
