import NSQJobs
import TallyBasics
import TestKit
import Testing

@Suite struct `A job after others` {
    @Test func `starts when all of them are completed`() async throws {
        let fixture = try await StoreFixture()
        let ids = try await fixture.enqueue(NewJob(name: "a"), NewJob(name: "b")).map(\.id)
        let job = try await enqueue(fixture, after: ids)
        let waiting = try await record(fixture, job)
        #expect(waiting.state == .scheduled && waiting.waitsFor == .jobs)
        #expect(try await fixture.store.dependencies(of: job) == ids)
        #expect(
            try await sweep(fixture, after: .seconds(60)).publications.map(\.reference.id) == ids)
        for (index, id) in ids.enumerated() {
            let running = try await fixture.claim(id)
            let result = try await fixture.store.settle(
                [Settlement(running.claim!, .complete)], at: fixture.start)
            #expect(result.hasNewlyAvailable == (index == 1))
        }
        #expect(try await record(fixture, job).state == .available)
        #expect(try await fixture.store.dependencies(of: job) == [])
        #expect(try await sweep(fixture).publications.map(\.reference.id) == [job])
    }

    @Test func `waits for its due time too`() async throws {
        let fixture = try await StoreFixture()
        let first = try await fixture.running()
        let job = try await enqueue(
            fixture, after: [first.id], dueAt: fixture.start + .seconds(60))
        #expect(try await fixture.settle(first, .complete))
        let waiting = try await record(fixture, job)
        #expect(waiting.state == .scheduled && waiting.waitsFor == nil)
        #expect(
            try await fixture.store.makeDueJobsAvailable(
                limit: 9, at: fixture.start + .seconds(60)) == 1)
    }

    @Test(arguments: [
        (JobDependencies.FailurePolicy.cancel, JobState.cancelled, nil as JobWait?),
        (.run, .available, nil), (.wait, .scheduled, .jobs),
    ])
    func `follows its policy when one of them is discarded, before and after its enqueue`(
        _ policy: JobDependencies.FailurePolicy, _ state: JobState, _ wait: JobWait?
    ) async throws {
        let fixture = try await StoreFixture()
        let first = try await fixture.running()
        let before = try await enqueue(fixture, after: [first.id], policy)
        #expect(try await fixture.settle(first, .discard(reason: "x")))
        let after = try await enqueue(fixture, after: [first.id], policy)
        for id in [before, after] {
            let job = try await record(fixture, id)
            #expect(job.state == state && job.waitsFor == wait)
            if state == .cancelled {
                #expect(job.note == "job 1, which this job waits for, was discarded")
            }
        }
        // With the policy `wait`, the jobs become available when the first job is retried and
        // completes. With other policies the retry changes nothing.
        _ = try await fixture.store.change(first.id, .retry, at: fixture.start)
        let again = try await fixture.claim(first.id)
        #expect(try await fixture.settle(again, .complete))
        let expected = policy == .wait ? JobState.available : state
        for id in [before, after] {
            #expect(try await record(fixture, id).state == expected)
        }
    }

    @Test func `is cancelled with all that wait for it`() async throws {
        let fixture = try await StoreFixture()
        let first = try await fixture.enqueue(NewJob(name: "n"))[0].id
        var chain = [first]
        for _ in 0..<5 { chain.append(try await enqueue(fixture, after: [chain.last!])) }
        _ = try await fixture.store.change(first, .cancel, at: fixture.start)
        #expect(try await fixture.counts() == [.cancelled: 6])
    }

    @Test func `starts by a retry without waiting, and can be edited while it waits`()
        async throws
    {
        let fixture = try await StoreFixture()
        let first = try await fixture.enqueue(NewJob(name: "n"))[0].id
        let job = try await enqueue(fixture, after: [first])
        let edited = try await fixture.store.change(
            job, .edit(JobEdit(tags: ["t"], dueAt: fixture.start)), at: fixture.start)
        #expect(edited.waitsFor == .jobs && edited.state == .scheduled)
        let retried = try await fixture.store.change(job, .retry, at: fixture.start)
        #expect(retried.state == .available)
        #expect(try await fixture.store.dependencies(of: job) == [])
    }

    @Test func `is one of any number of dependents, which are released in portions`()
        async throws
    {
        let fixture = try await StoreFixture()
        let first = try await fixture.running()
        let job = NewJob(name: "n", dependencies: JobDependencies([first.id]))
        _ = try await fixture.store.enqueue(
            Array(repeating: job, count: 2_500), publishing: nil, at: fixture.start)
        #expect(try await fixture.settle(first, .complete))
        #expect(try await fixture.counts()[.available] == 1_000)
        for count in [2_000, 2_500] {
            _ = try await sweep(fixture)
            #expect(try await fixture.counts()[.available] == count)
        }
        #expect(try await sweep(fixture).hasMore == false)
    }

    @Test func `keeps a job from being deleted that it waits for`() async throws {
        let fixture = try await StoreFixture()
        let first = try await fixture.running()
        _ = try await enqueue(fixture, after: [first.id], .wait)
        #expect(try await fixture.settle(first, .discard(reason: "x")))
        let progress = try await fixture.store.prune(
            PruneRule(keepingAtMost: 0), limit: 10, at: fixture.start)
        #expect(progress == 0)
    }

    @Test func `is refused after unknown jobs, and after more than 100`() async throws {
        let jobs = try await Jobs.manual()
        func code(_ ids: [JobID]) async -> JobsError.Code? {
            do throws(JobsError) { try await jobs.enqueue(Numbered(number: 1), after: ids) } catch {
                return error.code
            }
            return nil
        }
        let ids = try await jobs.enqueue(contentsOf: (0..<101).map { Numbered(number: $0) })
            .map(\.id)
        #expect(await code(Array(ids[..<100])) == nil)
        #expect(await code(ids) == .invalidOption)
        #expect(await code([JobID(9_999)]) == .unknownJob)
        #expect(await code([]) == nil)
        let performed = try await jobs.drain { $0.register(Numbered.self) }
        #expect(performed.count == 103)
        await jobs.stop()
    }

    private func enqueue(
        _ fixture: StoreFixture, after ids: [JobID],
        _ policy: JobDependencies.FailurePolicy = .cancel, dueAt: JobTime? = nil
    ) async throws -> JobID {
        try await fixture.enqueue(
            NewJob(
                name: "n", dependencies: JobDependencies(ids, onFailure: policy), dueAt: dueAt)
        )[0].id
    }

    private func record(_ fixture: StoreFixture, _ id: JobID) async throws -> JobRecord {
        try #require(try await fixture.store.job(id))
    }

    private func sweep(
        _ fixture: StoreFixture, after delay: Duration = .zero
    ) async throws -> SweepResult {
        try await fixture.store.sweep(
            limit: 1_000, policy: PublishPolicy(), at: fixture.start + delay)
    }
}

@Suite struct `A batch` {
    @Test func `enqueues its callback once, when the last of its jobs has ended`()
        async throws
    {
        var generator = SeededGenerator()
        let fixture = try await StoreFixture()
        let callback = NewJob(name: "callback", options: JobOptions(queue: "after"))
        let (id, result) = try await fixture.store.enqueueBatch(
            Array(repeating: NewJob(name: "n"), count: 20), then: callback, at: fixture.start)
        let outcomes: [JobOutcome] = [
            .complete, .discard(reason: "x"), .cancel(reason: "x"), .complete,
        ]
        for (index, receipt) in result.receipts.shuffled(using: &generator).enumerated() {
            #expect(try await fixture.counts("after") == [:])
            let job = try await fixture.claim(receipt.id)
            #expect(job.batch == id)
            #expect(try await fixture.settle(job, outcomes[index % 4]))
            let batch = try #require(try await fixture.store.batch(id))
            #expect(batch.pending == 19 - index && batch.total == 20)
        }
        let batch = try #require(try await fixture.store.batch(id))
        #expect(batch.completed == 10 && batch.discarded == 5 && batch.cancelled == 5)
        #expect(batch.endedAt == fixture.start && !batch.isOpen)
        #expect(try await fixture.counts("after") == [.available: 1])
        let job = try #require(batch.callback)
        #expect(try await fixture.store.batch(ofCallback: job) == batch)
        // A later retry changes the numbers, and enqueues no second callback.
        let retried = try await fixture.store.jobs(
            matching: JobQuery(states: [.discarded], batch: id)
        ).jobs
        #expect(retried.count == 5)
        _ = try await fixture.store.change(retried[0].id, .retry, at: fixture.start)
        #expect(try await fixture.store.batch(id)?.pending == 1)
        let again = try await fixture.claim(retried[0].id)
        #expect(try await fixture.settle(again, .complete))
        #expect(try await fixture.counts("after") == [.available: 1])
        #expect(try await fixture.store.batch(id)?.completed == 11)
    }

    @Test func `ends at once without jobs, and not while it is open`() async throws {
        let jobs = try await Jobs.manual()
        let (empty, _) = try await jobs.enqueueBatch([], then: NewJob(name: "callback"))
        #expect(try await jobs.batch(empty)?.callback != nil)
        let open = try await jobs.openBatch(then: NewJob(name: "callback"))
        try await jobs.enqueue(NewJob(name: "n", batch: open))
        try await jobs.drain { $0.registerFallback { _ in } }
        #expect(try await jobs.batch(open)?.pending == 0)
        #expect(try await jobs.batch(open)?.endedAt == nil)
        try await jobs.closeBatch(open)
        #expect(try await jobs.batch(open)?.endedAt != nil)
        await jobs.stop()
    }

    @Test func `gets further jobs from its own, and none after its end`() async throws {
        let jobs = try await Jobs.manual()
        let (id, _) = try await jobs.enqueueBatch(
            [NewJob(name: "parent")], then: NewJob(name: "callback"))
        let found = Recorder()
        try await jobs.drain {
            $0.register(name: "parent") { context in
                try await jobs.enqueue(
                    contentsOf: Array(
                        repeating: NewJob(name: "child", batch: context.job.batch), count: 3))
            }
            $0.register(name: "child") { _ in }
            $0.register(name: "callback") { context in
                found.record(try await context.batch()?.completed ?? -1)
            }
        }
        #expect(found.all == [4])
        for (batch, code) in [(id, JobsError.Code.batchEnded), (JobBatchID(999), .unknownBatch)] {
            let error = await #expect(throws: JobsError.self) {
                try await jobs.enqueue(NewJob(name: "late", batch: batch))
            }
            #expect(error?.code == code)
        }
        await jobs.stop()
    }

    @Test func `has up to 10,000 jobs in one call`() async throws {
        let jobs = try await Jobs.manual()
        let most = Array(repeating: NewJob(name: "n"), count: 10_000)
        let (id, receipts) = try await jobs.enqueueBatch(most)
        #expect(receipts.count == 10_000)
        #expect(try await jobs.batch(id)?.pending == 10_000)
        let error = await #expect(throws: JobsError.self) {
            try await jobs.enqueueBatch(most + most[..<1])
        }
        #expect(error?.code == .invalidOption)
        await jobs.stop()
    }

    @Test func `is deleted by its age`() async throws {
        let fixture = try await StoreFixture()
        let (id, _) = try await fixture.store.enqueueBatch([], then: nil, at: fixture.start)
        for (age, remains) in [(Duration.seconds(60), true), (.seconds(59), false)] {
            _ = try await fixture.store.prune(
                PruneRule(olderThan: age), limit: 10, at: fixture.start + .seconds(60))
            #expect((try await fixture.store.batch(id) != nil) == remains)
        }
    }
}
