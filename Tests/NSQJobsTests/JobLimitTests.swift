import GRDB
import NSQJobs
import TallyBasics
import Testing

@Suite struct `The limit of a queue` {
    @Test func `lets as many jobs run as it allows, and starts the next when one ends`()
        async throws
    {
        let fixture = try await LimitFixture(JobLimit(maxRunning: 2))
        let ids = try await fixture.enqueue(5)
        let running = try await fixture.claim(ids)
        #expect(running.map(\.id) == [ids[0], ids[1]])
        #expect(try await fixture.counts() == [.running: 2, .scheduled: 3])
        let waiting = try await fixture.job(ids[2])
        #expect(waiting.waitsFor == .limit && waiting.attempt == 0 && waiting.note == nil)
        #expect(try await fixture.store.attempts(of: ids[2]) == [])
        // Nothing becomes available with time.
        #expect(try await fixture.sweep(after: .seconds(3600)).publications == [])
        let result = try await fixture.settle(running[0], .complete)
        #expect(result.hasNewlyAvailable)
        #expect(try await fixture.sweep().publications.map(\.reference.id) == [ids[2]])
        #expect(try await fixture.claim([ids[2]]).map(\.attempt) == [1])
        #expect(try await fixture.counts() == [.completed: 1, .running: 2, .scheduled: 2])
    }

    @Test func `is shown with the number of jobs that wait for it`() async throws {
        let fixture = try await LimitFixture(
            JobLimit(maxRunning: 2), perKey: JobLimit(maxRunning: 1))
        let ids = try await fixture.enqueue(3, key: "a") + fixture.enqueue(2)
        func waiting() async throws -> Int? {
            let counts = try await fixture.store.counts().first
            #expect(counts?.total == 5)
            return counts?.waitingForLimit
        }
        #expect(try await waiting() == 0)
        let running = try await fixture.claim(ids)
        #expect(running.count == 2)
        #expect(try await waiting() == 3)
        _ = try await fixture.settle(running[0], .complete)
        #expect(try await waiting() == 2)
        _ = try await fixture.store.change(ids[2], .cancel, at: fixture.now)
        #expect(try await waiting() == 1)
        _ = try await fixture.store.change(
            ids[4], .edit(JobEdit(queue: "other")), at: fixture.now)
        #expect(try await fixture.store.counts().map(\.waitingForLimit) == [0, 0])
    }

    @Test(arguments: [
        JobOutcome.complete, .discard(reason: "x"), .cancel(reason: "x"), .release,
        .snooze(.seconds(60)), .fail(error: "x", retryAfter: .seconds(60)),
    ])
    func `starts the next job however the former one ends`(_ outcome: JobOutcome) async throws {
        let fixture = try await LimitFixture(JobLimit(maxRunning: 1))
        let ids = try await fixture.enqueue(2)
        let running = try await fixture.claim(ids)
        #expect(try await fixture.settle(running[0], outcome).hasNewlyAvailable)
        #expect(try await fixture.claim([ids[1]]).map(\.id) == [ids[1]])
    }

    @Test func `starts the next job when the lease of the former one ends`() async throws {
        let fixture = try await LimitFixture(JobLimit(maxRunning: 1))
        let ids = try await fixture.enqueue(2)
        _ = try await fixture.claim(ids)
        fixture.base.leases.advance(by: .seconds(31))
        let sweep = try await fixture.sweep()
        #expect(sweep.expiredLeases == 1)
        #expect(sweep.publications.map(\.reference.id) == [ids[0], ids[1]])
        // The slot belongs to the job that has waited.
        #expect(try await fixture.claim(ids).map(\.id) == [ids[1]])
    }

    @Test func `gives the slot of a job that is cancelled before its start to the next one`()
        async throws
    {
        let fixture = try await LimitFixture(JobLimit(maxRunning: 1))
        let ids = try await fixture.enqueue(3)
        let running = try await fixture.claim(ids)
        _ = try await fixture.settle(running[0], .complete)
        #expect(try await fixture.job(ids[1]).state == .available)
        _ = try await fixture.store.change(ids[1], .cancel, at: fixture.now)
        #expect(try await fixture.claim([ids[2]]).map(\.id) == [ids[2]])
    }

    @Test func `starts jobs of a higher priority first, and others in order`() async throws {
        let fixture = try await LimitFixture(JobLimit(maxRunning: 1))
        let ids = try await fixture.enqueue(2)
        let high = try await fixture.enqueue(1, priority: .high)[0]
        var running = try await fixture.claim(ids + [high])
        for next in [high, ids[1]] {
            _ = try await fixture.settle(running[0], .complete)
            running = try await fixture.claim(ids + [high])
            #expect(running.map(\.id) == [next])
        }
    }

    @Test func `lets as many jobs start within its window as it allows`() async throws {
        let fixture = try await LimitFixture(JobLimit(rate: .init(3, per: .seconds(60))))
        let ids = try await fixture.enqueue(7)
        for second in 0..<3 {
            #expect(try await fixture.claim([ids[second]], after: .seconds(second)).count == 1)
        }
        #expect(try await fixture.claim([ids[3]], after: .seconds(3)).isEmpty)
        #expect(try await fixture.job(ids[3]).dueAt == fixture.now + .seconds(60))
        #expect(try await fixture.claim(Array(ids[4...]), after: .seconds(3)).isEmpty)
        let before = try await fixture.sweep(after: .seconds(60) - .microseconds(1))
        #expect(before.publications == [] && before.nextDue == fixture.now + .seconds(60))
        let sweep = try await fixture.sweep(after: .seconds(61))
        #expect(sweep.publications.map(\.reference.id) == [ids[3], ids[4]])
        #expect(try await fixture.claim(ids, after: .seconds(61)).map(\.id) == [ids[3], ids[4]])
        #expect(try await fixture.sweep(after: .seconds(61)).nextDue == fixture.now + .seconds(62))
        #expect(try await fixture.sweep(after: .seconds(62)).publications.count == 1)
        // A long time without starts does not allow two jobs to start at once.
        #expect(try await fixture.claim(ids, after: .seconds(600)).map(\.id) == [ids[5]])
        #expect(try await fixture.sweep(after: .seconds(600)).publications.count == 1)
    }

    @Test func `counts starts from now on after the clock was set back`() async throws {
        let fixture = try await LimitFixture(JobLimit(rate: .init(1, per: .seconds(60))))
        let ids = try await fixture.enqueue(2)
        #expect(try await fixture.claim([ids[0]], after: .seconds(7_200)).count == 1)
        #expect(try await fixture.claim([ids[1]]).isEmpty)
        #expect(try await fixture.sweep().nextDue == fixture.now + .seconds(60))
        #expect(try await fixture.sweep(after: .seconds(60)).publications.count == 1)
        #expect(try await fixture.claim([ids[1]], after: .seconds(60)).count == 1)
    }

    @Test func `applies to the jobs of each key, and not to those without`() async throws {
        let fixture = try await LimitFixture(nil, perKey: JobLimit(maxRunning: 1))
        let (first, second) = (
            try await fixture.enqueue(2, key: "a"), try await fixture.enqueue(1, key: "b")
        )
        let others = try await fixture.enqueue(3)
        let running = try await fixture.claim(first + second + others)
        #expect(running.map(\.id) == [first[0], second[0]] + others)
        #expect(try await fixture.job(first[1]).limitKey == "a")
        #expect(try await fixture.settle(running[1], .complete).hasNewlyAvailable == false)
        #expect(try await fixture.settle(running[0], .complete).hasNewlyAvailable)
        #expect(try await fixture.claim([first[1]]).map(\.id) == [first[1]])
    }

    @Test func `keeps the slot of a key for a job that waits for the queue`() async throws {
        let fixture = try await LimitFixture(
            JobLimit(maxRunning: 1), perKey: JobLimit(maxRunning: 1))
        let other = try await fixture.enqueue(1)[0]
        let keyed = try await fixture.enqueue(3, key: "a")
        let running = try await fixture.claim([keyed[0], other, keyed[1], keyed[2]])
        #expect(running.map(\.id) == [keyed[0]])
        _ = try await fixture.settle(running[0], .complete)
        // The next job of the key has the slot of the key and waits for the queue. Its cancellation
        // frees the slot for the last job of the key.
        let next = try await fixture.claim(keyed + [other])
        #expect(next.map(\.id) == [other])
        _ = try await fixture.store.change(keyed[1], .cancel, at: fixture.now)
        _ = try await fixture.settle(next[0], .complete)
        #expect(try await fixture.claim(keyed).map(\.id) == [keyed[2]])
    }

    @Test func `can be raised and removed while jobs wait`() async throws {
        let fixture = try await LimitFixture(
            JobLimit(maxRunning: 1), perKey: JobLimit(maxRunning: 1))
        let ids = try await fixture.enqueue(9)
        let keyed = try await fixture.enqueue(2, key: "a")
        #expect(try await fixture.claim(ids + keyed).count == 1)
        try await fixture.setLimit(JobLimit(maxRunning: 4))
        #expect(try await fixture.sweep(limit: 2).hasMore)
        #expect(try await fixture.claim(ids + keyed).count == 3)
        try await fixture.setLimit(nil)
        try await fixture.setLimit(nil, perKey: true)
        while try await fixture.sweep(limit: 2).hasMore {}
        #expect(try await fixture.claim(ids + keyed).count == 7)
        #expect(try await fixture.counts() == [.running: 11])
    }

    @Test func `does not hold a job that is moved to another queue, edited or retried`()
        async throws
    {
        let fixture = try await LimitFixture(JobLimit(maxRunning: 1))
        let ids = try await fixture.enqueue(4)
        _ = try await fixture.claim(ids)
        let store = fixture.store
        _ = try await store.change(ids[1], .edit(JobEdit(queue: "b")), at: fixture.now)
        _ = try await store.change(ids[2], .retry, at: fixture.now)
        #expect(try await fixture.job(ids[2]).state == .available)
        _ = try await fixture.sweep()
        #expect(try await fixture.claim([ids[1], ids[2]]).map(\.id) == [ids[1]])
        #expect(try await fixture.job(ids[2]).waitsFor == .limit)
    }

    @Test func `is shown with the counts of its queue`() async throws {
        let whole = JobLimit(maxRunning: 7, rate: .init(10_000, per: .milliseconds(1)))
        let perKey = JobLimit(rate: .init(1, per: .seconds(31 * 86_400)))
        let fixture = try await LimitFixture(whole, perKey: perKey)
        let counts = try await fixture.store.counts()
        #expect(counts.map(\.queue) == ["default"])
        #expect(counts[0].limit == whole && counts[0].keyLimit == perKey)
    }

    @Test func `is refused beyond its bounds`() async throws {
        let jobs = try await Jobs.manual()
        func code(_ limit: JobLimit, _ queue: String = "q") async -> JobsError.Code? {
            do throws(JobsError) { try await jobs.setLimit(limit, of: queue) } catch {
                return error.code
            }
            return nil
        }
        for number in [1, 10_000] {
            #expect(await code(JobLimit(maxRunning: number)) == nil)
            #expect(await code(JobLimit(rate: .init(number, per: .seconds(1)))) == nil)
        }
        for number in [0, 10_001] {
            #expect(await code(JobLimit(maxRunning: number)) == .invalidOption)
            #expect(await code(JobLimit(rate: .init(number, per: .seconds(1)))) == .invalidOption)
        }
        let longest = Duration.seconds(31 * 86_400)
        for window in [.milliseconds(1), longest] {
            #expect(await code(JobLimit(rate: .init(1, per: window))) == nil)
        }
        for window in [.microseconds(999), longest + .microseconds(1)] {
            #expect(await code(JobLimit(rate: .init(1, per: window))) == .invalidOption)
        }
        #expect(await code(JobLimit(maxRunning: 1), "a b") == .invalidName)
        for (length, isValid) in [(1, true), (512, true), (0, false), (513, false)] {
            let job = NewJob(name: "n", limitKey: String(repeating: "k", count: length))
            let isAccepted = (try? job.validate()) != nil
            #expect(isAccepted == isValid)
        }
        await jobs.stop()
    }

    @Test func `lets a drain perform all jobs of the queue one after the other`() async throws {
        let jobs = try await Jobs.manual()
        try await jobs.setLimit(JobLimit(maxRunning: 1), of: "default")
        try await jobs.enqueue(contentsOf: (0..<5).map { Numbered(number: $0) })
        let performed = try await jobs.drain { $0.register(Numbered.self) }
        #expect(performed.map(\.state) == Array(repeating: .completed, count: 5))
        await jobs.stop()
    }
}

/// A store whose queue `default` has limits.
struct LimitFixture {
    let base: StoreFixture
    var store: SQLiteJobStore { base.store }
    var now: JobTime { base.start }

    init(_ limit: JobLimit?, perKey: JobLimit? = nil) async throws {
        base = try await StoreFixture()
        try await setLimit(limit)
        try await setLimit(perKey, perKey: true)
    }

    func setLimit(_ limit: JobLimit?, perKey isPerKey: Bool = false) async throws {
        try await store.setLimit(limit, queue: "default", isPerKey: isPerKey)
    }

    func enqueue(
        _ count: Int, key: String? = nil, priority: JobPriority = .normal
    ) async throws -> [JobID] {
        let job = NewJob(name: "n", options: JobOptions(priority: priority), limitKey: key)
        return try await store.enqueue(
            Array(repeating: job, count: count), publishing: nil, at: now
        ).receipts.map(\.id)
    }

    func job(_ id: JobID) async throws -> JobRecord { try #require(try await store.job(id)) }

    /// Claims the given jobs, as far as they are available and may start.
    func claim(_ ids: [JobID], after delay: Duration = .zero) async throws -> [JobRecord] {
        var references: [JobReference] = []
        for id in ids {
            references.append(JobReference(id: id, version: try await job(id).version))
        }
        let results = try await store.claim(
            references, worker: base.worker, lease: base.lease, at: now + delay
        ).results
        return results.compactMap { if case .claimed(let job) = $0 { job } else { nil } }
    }

    func settle(_ job: JobRecord, _ outcome: JobOutcome) async throws -> SettleResult {
        try await store.settle([Settlement(job.claim!, outcome)], at: now)
    }

    func sweep(after delay: Duration = .zero, limit: Int = 100) async throws -> SweepResult {
        try await store.sweep(limit: limit, policy: PublishPolicy(), at: now + delay)
    }

    func counts() async throws -> [JobState: Int] { try await base.counts() }
}
