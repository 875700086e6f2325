import NSQJobs
import Testing

@Suite struct `A unique job` {
    @Test func `is not enqueued a second time, and does not affect others`() async throws {
        let fixture = try await StoreFixture()
        let first = try await fixture.enqueue(unique("k"))[0]
        let receipts = try await fixture.enqueue(
            unique("a"), unique("k"), NewJob(name: "n"), unique("a"))
        #expect(receipts.map(\.kind) == [.new, .existing, .new, .existing])
        #expect(receipts[1].id == first.id && receipts[3].id == receipts[0].id)
        #expect(try await fixture.counts() == [.available: 3])
    }

    @Test func `can be enqueued again after its end`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running(unique("k"))
        #expect(try await fixture.enqueue(unique("k"))[0].kind == .existing)
        #expect(try await fixture.settle(job, .complete))
        #expect(try await fixture.enqueue(unique("k"))[0].kind == .new)
    }

    @Test func `excludes others only in the chosen states`() async throws {
        let fixture = try await StoreFixture()
        var options = JobOptions()
        options.uniqueness.states = [.available, .completed]
        let job = NewJob(name: "n", options: options, uniqueKey: "k")
        let running = try await fixture.running(job)
        let second = try await fixture.enqueue(job)[0]
        #expect(second.kind == .new)
        // The second job holds the unique key, so the first job completes without the key.
        #expect(try await fixture.settle(running, .complete))
        #expect(try await fixture.enqueue(job)[0] == EnqueueReceipt(second.id, .existing))
        let other = try await fixture.claim(second.id)
        #expect(try await fixture.settle(other, .complete))
        #expect(try await fixture.enqueue(job)[0] == EnqueueReceipt(second.id, .existing))
    }

    @Test func `continues after a failure although another job has the key`() async throws {
        let fixture = try await StoreFixture()
        var options = JobOptions()
        options.uniqueness.states = [.available, .retryable]
        let job = NewJob(name: "n", options: options, uniqueKey: "k")
        let running = try await fixture.running(job)
        #expect(try await fixture.enqueue(job)[0].kind == .new)
        #expect(try await fixture.settle(running, .fail(error: "x", retryAfter: .zero)))
        #expect(try await fixture.counts() == [.available: 1, .retryable: 1])
    }

    @Test func `excludes others within its window only`() async throws {
        let fixture = try await StoreFixture()
        var job = unique("k")
        job.options.uniqueness.window = .seconds(60)
        func enqueue(after seconds: Int) async throws -> EnqueueReceipt.Kind {
            try await fixture.store.enqueue(
                [job], publishing: nil, at: JobTime(microseconds: 0) + .seconds(seconds)
            ).receipts[0].kind
        }
        #expect(try await enqueue(after: 0) == .new)
        #expect(try await enqueue(after: 59) == .existing)
        #expect(try await enqueue(after: 60) == .new)
    }

    @Test func `replaces the values of a waiting job, but not of a running one`() async throws {
        let fixture = try await StoreFixture()
        var job = unique("k")
        job.options.uniqueness.conflict = .replaceWaiting
        let first = try await fixture.enqueue(job)[0]
        job.arguments = "[2]"
        job.dueAt = fixture.start + .seconds(60)
        #expect(try await fixture.enqueue(job)[0] == EnqueueReceipt(first.id, .replaced))
        let record = try #require(try await fixture.store.job(first.id))
        #expect(record.arguments == "[2]" && record.state == .scheduled && record.version == 2)
        let later = fixture.start + .seconds(60)
        #expect(try await fixture.store.makeDueJobsAvailable(limit: 10, at: later) == 1)
        _ = try await fixture.claim(first.id, at: later)
        #expect(try await fixture.enqueue(job)[0] == EnqueueReceipt(first.id, .existing))
    }

    private func unique(_ key: String) -> NewJob { NewJob(name: "n", uniqueKey: key) }
}
