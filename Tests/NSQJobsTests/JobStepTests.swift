import NSQJobs
import TallyBasics
import Testing

@Suite struct `A step of a job` {
    private struct Failure: Error {}

    private struct Invoice: Codable, Equatable {
        var number: Int
        var text: String
    }

    @Test func `runs once over all attempts, and returns its first result`() async throws {
        let jobs = try await Jobs.manual()
        let recorder = Recorder()
        let options = JobOptions(
            maxAttempts: 3, retry: JobRetryPolicy(firstDelay: .zero, maxDelay: .zero))
        let id = try await jobs.enqueue(Numbered(number: 1), options: options).id
        let performed = try await jobs.drain {
            $0.register(Numbered.self) { _, context in
                let invoice = try await context.step("create") {
                    recorder.record(1)
                    return Invoice(number: context.attempt, text: "é\n")
                }
                #expect(invoice == Invoice(number: 1, text: "é\n"))
                try await context.step("fail twice") {
                    recorder.record(2)
                    if context.attempt < 3 { throw Failure() }
                }
                try await context.step("send") { recorder.record(3) }
                #expect(try await context.completedSteps().map(\.name).count == 3)
            }
        }
        #expect(performed.map(\.state) == [.retryable, .retryable, .completed])
        #expect(recorder.all == [1, 2, 2, 2, 3])
        let steps = try await jobs.steps(of: id)
        #expect(steps.map(\.name) == ["create", "fail twice", "send"])
        #expect(steps[0].result.contains(#""number":1"#) && steps[1].result == "null")
        await jobs.stop()
    }

    @Test func `runs again after the retry of a completed job, and not of a discarded one`()
        async throws
    {
        let jobs = try await Jobs.manual()
        let recorder = Recorder()
        func drain(isFailing: Bool) async throws {
            try await jobs.drain {
                $0.register(Numbered.self) { job, context in
                    try await context.step("s") { recorder.record(job.number) }
                    if isFailing { throw JobInterruption.discard("x") }
                }
            }
        }
        let id = try await jobs.enqueue(Numbered(number: 1)).id
        try await drain(isFailing: true)
        try await jobs.retry(id)
        try await drain(isFailing: false)
        #expect(recorder.all == [1])
        try await jobs.retry(id)
        try await drain(isFailing: false)
        #expect(recorder.all == [1, 1])
        #expect(try await jobs.prune(PruneRule(keepingAtMost: 0)) == 1)
        #expect(try await jobs.steps(of: id) == [])
        await jobs.stop()
    }

    @Test func `is not stored by a worker that does not hold the job any more`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        func storeStep() async throws -> Bool {
            try await fixture.store.storeStep(
                "s", result: "1", of: job.claim!, at: fixture.start)
        }
        #expect(try await storeStep())
        fixture.leases.advance(by: .seconds(31))
        _ = try await fixture.store.expireLeases(limit: 10, at: fixture.start)
        #expect(try await storeStep() == false)
        #expect(try await fixture.store.step("s", of: job.id) == "1")
        #expect(try await fixture.store.step("t", of: job.id) == nil)
    }

    @Test func `is one of up to 1,000`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        func code(_ name: String) async throws -> JobsError.Code? {
            do throws(JobsError) {
                _ = try await fixture.store.storeStep(
                    name, result: "1", of: job.claim!, at: fixture.start)
            } catch {
                return error.code
            }
            return nil
        }
        for number in 1...1_000 { #expect(try await code("\(number)") == nil) }
        #expect(try await code("1001") == .invalidArguments)
        #expect(try await code("1000") == nil)
    }

    @Test func `has results of up to 4 MiB together, and a valid name`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        func code(_ name: String, _ size: Int) async throws -> JobsError.Code? {
            do throws(JobsError) {
                _ = try await fixture.store.storeStep(
                    name, result: String(repeating: "1", count: size), of: job.claim!,
                    at: fixture.start)
            } catch {
                return error.code
            }
            return nil
        }
        #expect(try await code("a", (4 << 20) - 1) == nil)
        #expect(try await code("b", 2) == .invalidArguments)
        #expect(try await code("b", 1) == nil)
        let jobs = try await Jobs.manual()
        let name = String(repeating: "n", count: 200)
        for (name, isValid) in [(name, true), (name + "n", false), ("", false), ("a\n", false)] {
            let id = try await jobs.enqueue(NewJob(name: "n", options: .init(maxAttempts: 1))).id
            try await jobs.drain {
                $0.register(name: "n") { context in try await context.step(name) {} }
            }
            #expect(try await jobs.status(of: id)?.state == (isValid ? .completed : .discarded))
        }
        await jobs.stop()
    }

    @Test func `has a clear error if its stored result is not of the type`() async throws {
        let jobs = try await Jobs.manual()
        let options = JobOptions(
            maxAttempts: 2, retry: JobRetryPolicy(firstDelay: .zero, maxDelay: .zero))
        let id = try await jobs.enqueue(NewJob(name: "n", options: options)).id
        try await jobs.drain {
            $0.register(name: "n") { context in
                if context.attempt == 1 {
                    _ = try await context.step("s") { "text" }
                    throw Failure()
                }
                _ = try await context.step("s") { 7 }
            }
        }
        let job = try #require(try await jobs.status(of: id))
        #expect(job.state == .discarded)
        #expect(
            job.note?.hasPrefix("cannot decode the stored result of step 's' as 'Int'") == true)
        await jobs.stop()
    }
}
