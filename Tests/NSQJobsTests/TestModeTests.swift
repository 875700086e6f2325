import Foundation
import NSQJobs
import Testing

@Suite struct `Jobs without NSQ` {
    struct Parent: Job {
        var children: Int

        func perform(_ context: JobContext) async throws {
            try await context.setOutput(["children": children])
        }
    }

    @Test func `are performed by draining them, also those that they enqueue`() async throws {
        let jobs = try await Jobs.manual()
        try await jobs.enqueue(Parent(children: 2))
        try await jobs.enqueue(Numbered(number: 9), after: .seconds(60))
        #expect(try await jobs.enqueued(Parent.self).map(\.children) == [2])
        let performed = try await jobs.drain {
            $0.register(Parent.self) { job, context in
                try await job.perform(context)
                try await jobs.enqueue(contentsOf: (0..<job.children).map(Numbered.init))
            }
            $0.register(Numbered.self)
        }
        #expect(performed.map(\.name) == ["Parent", "Numbered", "Numbered"])
        #expect(performed.allSatisfy { $0.state == .completed })
        #expect(try performed[0].output(as: [String: Int].self) == ["children": 2])
        #expect(try await jobs.enqueued(Numbered.self).map(\.number) == [9])
        await jobs.stop()
    }

    @Test func `are performed within the enqueue in the inline mode`() async throws {
        let recorder = Recorder()
        let jobs = try await Jobs.inline {
            $0.register(Numbered.self) { job, _ in recorder.record(job.number) }
        }
        let receipt = try await jobs.enqueue(Numbered(number: 7))
        #expect(recorder.all == [7])
        #expect(try await jobs.status(of: receipt.id)?.state == .completed)
        await jobs.stop()
    }

    @Test func `are found by their unique key`() async throws {
        struct Greeting: Job {
            var name: String
            var uniqueKey: String? { name }
            func perform(_ context: JobContext) async throws { try await context.setOutput(name) }
        }
        let jobs = try await Jobs.manual()
        let receipt = try await jobs.enqueue(Greeting(name: "Ada"))
        #expect(try await jobs.enqueue(Greeting(name: "Ada")).kind == .existing)
        #expect(try await jobs.status(of: Greeting.self, uniqueKey: "Bob") == nil)
        try await jobs.drain { $0.register(Greeting.self) }
        let job = try #require(try await jobs.status(of: Greeting.self, uniqueKey: "Ada"))
        #expect(job.id == receipt.id && job.state == .completed)
        #expect(try job.output(as: String.self) == "Ada")
        await jobs.stop()
    }

    @Test func `are enqueued in bulk, in order, with one receipt each`() async throws {
        let jobs = try await Jobs.manual()
        let count = 2 * 10_000 + 7
        let receipts = try await jobs.enqueue(
            contentsOf: (0..<count).lazy.map { Numbered(number: $0) })
        #expect(receipts.map(\.id.number) == (1...Int64(count)).map { $0 })
        #expect(try await jobs.counts()[0][.available] == count)
        let last = try await jobs.status(of: JobID(Int64(count)))
        #expect(try last?.decoded(as: Numbered.self).number == count - 1)
        #expect(try await jobs.enqueue(contentsOf: [Numbered]()) == [])
        await jobs.stop()
    }

    @Test func `are changed, retried and pruned on request`() async throws {
        let jobs = try await Jobs.manual()
        let id = try await jobs.enqueue(Numbered(number: 1)).id
        try await jobs.edit(id, JobEdit(arguments: #"{"number":5}"#))
        #expect(try await jobs.enqueued(Numbered.self).map(\.number) == [5])
        try await jobs.cancel(id)
        #expect(try await jobs.retry(id).state == .available)
        try await jobs.discard(id)
        #expect(try await jobs.counts()[0][.discarded] == 1)
        #expect(try await jobs.prune(PruneRule(keepingAtMost: 0)) == 1)
        #expect(try await jobs.status(of: id) == nil)
        await jobs.stop()
    }

    @Test func `are changed together by a query, after a preview of how many`() async throws {
        let jobs = try await Jobs.manual()
        let ids = try await jobs.enqueue(contentsOf: (0..<1_203).map { Numbered(number: $0) })
        try await jobs.enqueue(NewJob(name: "other", options: JobOptions(queue: "mail")))
        try await jobs.cancel(ids[7].id)
        let query = JobQuery(name: Numbered.name, limit: 3)
        #expect(try await jobs.count(matching: query) == 1_203)
        #expect(try await jobs.count(matching: query, upTo: 10) == 10)
        #expect(try await jobs.count(matching: JobQuery(states: [.available])) == 1_203)
        #expect(try await jobs.count(matching: JobQuery(queue: "mail")) == 1)
        var progress: [Int] = []
        let result = try await jobs.changeAll(matching: query, .discard) {
            progress.append($0.changed + $0.unchanged)
        }
        #expect(result.changed == 1_202 && result.unchanged == 1)
        #expect(progress == [500, 1_000, 1_203])
        let retried = try await jobs.changeAll(matching: JobQuery(states: [.discarded]), .retry)
        #expect(retried.changed == 1_202)
        await #expect(throws: JobsError.self) {
            try await jobs.changeAll(matching: query, .edit(JobEdit(arguments: "{")))
        }
        await jobs.stop()
    }

    @Test func `are refused with a clear error if their arguments are not valid`() async throws {
        let jobs = try await Jobs.manual()
        func error(_ job: NewJob) async throws -> JobsError? {
            do throws(JobsError) { try await jobs.enqueue(job) } catch { return error }
            return nil
        }
        let malformed = try await error(NewJob(name: "n", arguments: "{"))
        #expect(malformed?.code == .invalidArguments)
        #expect(malformed?.reason.hasPrefix("the arguments of job 'n' are not JSON") == true)
        let deep = String(repeating: "[", count: 600) + String(repeating: "]", count: 600)
        #expect(try await error(NewJob(name: "n", arguments: deep))?.code == .invalidArguments)
        let long = "\"" + String(repeating: "x", count: NewJob.maxArgumentBytes) + "\""
        #expect(try await error(NewJob(name: "n", arguments: long))?.code == .invalidArguments)
        #expect(try await jobs.counts().isEmpty)
        let id = try await jobs.enqueue(NewJob(name: "n")).id
        await #expect(throws: JobsError.self) {
            try await jobs.edit(id, JobEdit(arguments: "{"))
        }
        await #expect(throws: JobsError.self) { try await jobs.edit(id, JobEdit(queue: "a b")) }
        await jobs.stop()
    }
}
