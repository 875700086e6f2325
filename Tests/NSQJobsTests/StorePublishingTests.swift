import NSQJobs
import TallyBasics
import Testing

@Suite struct `The store's selection of jobs to publish` {
    let policy = PublishPolicy(
        republishDelay: .seconds(10), maxRepublishDelay: .seconds(30), window: 5)

    @Test func `takes each job once, in order, with its topic`() async throws {
        let fixture = try await StoreFixture()
        _ = try await fixture.enqueue(
            NewJob(name: "a"), NewJob(name: "b"),
            NewJob(name: "c", options: JobOptions(queue: "mail", priority: .high)))
        let publications = try await fixture.store.sweep(
            limit: 10, policy: policy, at: fixture.start
        ).publications
        #expect(Set(publications.map(\.topic.name)) == ["jobs.default.normal", "jobs.mail.high"])
        let usual = publications.filter { $0.topic.queue == "default" }
        #expect(usual.map(\.name) == ["a", "b"])
        #expect(usual.map(\.reference.version) == [1, 1])
        #expect(
            try await fixture.store.sweep(limit: 10, policy: policy, at: fixture.start).publications
                == [])
    }

    /// The jobs are in different queues, so no single topic has as many jobs as the limit.
    @Test(arguments: [(2, true), (3, true), (4, false)])
    func `is continued if as many jobs were due as one sweep changes`(
        limit: Int, hasMore: Bool
    ) async throws {
        let fixture = try await StoreFixture()
        for queue in ["a", "b", "c"] {
            _ = try await fixture.enqueue(
                NewJob(
                    name: "n", options: JobOptions(queue: queue),
                    dueAt: fixture.start + .seconds(1)))
        }
        let sweep = try await fixture.store.sweep(
            limit: limit, policy: policy, at: fixture.start + .seconds(1))
        #expect(sweep.publications.count == min(limit, 3))
        #expect(sweep.hasMore == hasMore)
    }

    @Test func `keeps the number of published jobs below the window`() async throws {
        let fixture = try await StoreFixture()
        for _ in 0..<8 { _ = try await fixture.enqueue(NewJob(name: "n")) }
        func reserve(_ limit: Int) async throws -> [ReservedJob] {
            try await fixture.store.sweep(limit: limit, policy: policy, at: fixture.start)
                .publications
        }
        #expect(try await reserve(3).count == 3)
        #expect(try await reserve(10).count == 2)
        #expect(try await reserve(10).count == 0)
        _ = try await fixture.claim(JobID(1))
        #expect(try await reserve(10).map(\.reference.id) == [JobID(6)])
    }

    @Test func `selects what was published before a time again, however often it was published`()
        async throws
    {
        let fixture = try await StoreFixture()
        for _ in 0..<3 { _ = try await fixture.enqueue(NewJob(name: "n")) }
        func sweep(after seconds: Int, limit: Int = 10) async throws -> [Int64] {
            try await fixture.store.sweep(
                limit: limit, policy: policy, at: fixture.start + .seconds(seconds)
            ).publications.map(\.reference.id.number)
        }
        #expect(try await sweep(after: 0, limit: 2) == [1, 2])
        _ = try await fixture.claim(JobID(2))
        #expect(try await sweep(after: 5) == [3])
        // The second publish of the first job.
        #expect(try await sweep(after: 10) == [1])
        func release(before seconds: Int, limit: Int = 10) async throws -> Int {
            try await fixture.store.releasePublished(
                before: fixture.start + .seconds(seconds), limit: limit, policy: policy,
                at: fixture.start + .seconds(11))
        }
        #expect(try await release(before: 4) == 0)
        #expect(try await release(before: 5) == 1)
        #expect(try await sweep(after: 11) == [3])
        #expect(try await release(before: 11, limit: 1) == 1)
        #expect(try await release(before: 11, limit: 1) == 1)
        #expect(try await release(before: 11, limit: 1) == 0)
    }

    @Test func `repeats what nobody has claimed, at growing intervals`() async throws {
        let fixture = try await StoreFixture()
        _ = try await fixture.enqueue(NewJob(name: "n"))
        var times: [Int] = []
        for second in 0..<90 {
            let now = fixture.start + .seconds(second)
            let publications = try await fixture.store.sweep(limit: 9, policy: policy, at: now)
                .publications
            if !publications.isEmpty { times.append(second) }
        }
        #expect(times == [0, 10, 30, 60])
    }

    @Test func `repeats a failed publish at once`() async throws {
        let fixture = try await StoreFixture()
        let result = try await fixture.store.enqueue(
            [NewJob(name: "n")], publishing: policy, at: fixture.start)
        #expect(result.publications.count == 1 && !result.hasUnpublished)
        #expect(
            try await fixture.store.sweep(limit: 9, policy: policy, at: fixture.start).publications
                == [])
        let reference = result.publications[0].reference
        try await fixture.store.cancelReservations([reference])
        let again = try await fixture.store.sweep(limit: 9, policy: policy, at: fixture.start)
            .publications
        #expect(again.map(\.reference) == [reference])
    }

    @Test func `leaves out paused queues, and refuses their claims`() async throws {
        let fixture = try await StoreFixture()
        let result = try await fixture.store.enqueue(
            [NewJob(name: "n")], publishing: policy, at: fixture.start)
        try await fixture.store.setPaused(true, queue: "default")
        let claims = try await fixture.store.claim(
            result.publications.map(\.reference), worker: fixture.worker, lease: .seconds(30),
            at: fixture.start
        ).results
        guard case .paused = claims[0] else { throw StoreFixture.NotClaimed(result: claims[0]) }
        #expect(
            try await fixture.store.sweep(limit: 9, policy: policy, at: fixture.start).publications
                == [])
        #expect(try await fixture.store.counts()[0].isPaused)
        try await fixture.store.setPaused(false, queue: "default")
        let again = try await fixture.store.sweep(limit: 9, policy: policy, at: fixture.start)
            .publications
        #expect(again.count == 1)
    }

    @Test func `reports the next due time, and makes due jobs available in portions`()
        async throws
    {
        let fixture = try await StoreFixture()
        #expect(try await nextDue(fixture) == nil)
        for second in 1...5 {
            _ = try await fixture.enqueue(
                NewJob(name: "n", dueAt: fixture.start + .seconds(second)))
        }
        #expect(try await nextDue(fixture) == fixture.start + .seconds(1))
        let later = fixture.start + .seconds(4)
        #expect(try await fixture.store.makeDueJobsAvailable(limit: 3, at: later) == 3)
        #expect(try await fixture.store.makeDueJobsAvailable(limit: 3, at: later) == 1)
        #expect(try await fixture.counts() == [.scheduled: 1, .available: 4])
        #expect(try await nextDue(fixture) == fixture.start + .seconds(5))
    }

    @Test func `reserves new jobs for their enqueue, up to the window and behind no others`()
        async throws
    {
        let fixture = try await StoreFixture()
        func enqueue(_ count: Int) async throws -> EnqueueResult {
            try await fixture.store.enqueue(
                Array(repeating: NewJob(name: "n"), count: count), publishing: policy,
                at: fixture.start)
        }
        let first = try await enqueue(7)
        #expect(first.publications.map(\.reference.id.number) == [1, 2, 3, 4, 5])
        #expect(first.hasUnpublished)
        _ = try await fixture.claim(JobID(1))
        #expect(try await enqueue(1).publications == [])
        let sweep = try await fixture.store.sweep(limit: 9, policy: policy, at: fixture.start)
        #expect(sweep.publications.map(\.reference.id.number) == [6] && sweep.isWindowFull)
    }

    private func nextDue(_ fixture: StoreFixture) async throws -> JobTime? {
        try await fixture.store.sweep(limit: 9, policy: policy, at: JobTime(microseconds: 1))
            .nextDue
    }
}
