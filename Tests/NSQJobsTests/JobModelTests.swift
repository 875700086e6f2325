import Foundation
import NSQJobs
import Testing

@Suite struct `A retry policy` {
    @Test func `doubles the delay up to the maximum, and subtracts a random part`() {
        let policy = JobRetryPolicy(
            firstDelay: .seconds(10), maxDelay: .seconds(60), jitter: 0.5)
        for (attempt, full) in [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (10_000, 60)] {
            for seed in UInt64(0)..<50 {
                let delay = policy.delay(afterAttempt: attempt, seed: seed)
                #expect(delay <= .seconds(full) && delay > .seconds(full) / 2)
                #expect(delay == policy.delay(afterAttempt: attempt, seed: seed))
            }
        }
    }

    @Test func `without jitter is exact, also for extreme values`() {
        let policy = JobRetryPolicy(
            firstDelay: .seconds(Int64.max), maxDelay: .seconds(Int64.max), jitter: 0)
        #expect(policy.delay(afterAttempt: .max, seed: 1) == .seconds(Int64.max))
        #expect(JobRetryPolicy(jitter: 0).delay(afterAttempt: 0, seed: 1) == .seconds(15))
    }
}

@Suite struct `The uniqueness of a job` {
    @Test func `has one text per name and key, and per window`() {
        var rule = JobUniqueness()
        let early = JobTime(microseconds: -1)
        let late = JobTime(microseconds: 59_999_999)
        #expect(
            rule.lockText(name: "a", key: "b", enqueuedAt: early)
                == rule.lockText(name: "a", key: "b", enqueuedAt: late))
        #expect(
            rule.lockText(name: "a", key: "b\nc", enqueuedAt: late)
                != rule.lockText(name: "a\tb", key: "c", enqueuedAt: late))
        rule.window = .seconds(60)
        let texts = [-1, 0, 59_999_999, 60_000_000].map {
            rule.lockText(name: "a", key: "b", enqueuedAt: JobTime(microseconds: $0))
        }
        #expect(texts[0] != texts[1] && texts[1] == texts[2] && texts[2] != texts[3])
    }
}

@Suite struct `A new job` {
    @Test(arguments: ["", "with space", "ü", String(repeating: "a", count: 41), "a#b"])
    func `has a queue whose name gives valid topics`(_ name: String) {
        let job = NewJob(name: "n", options: JobOptions(queue: name))
        #expect(throws: JobsError.self) { try job.validate() }
    }

    @Test func `has bounded values`() throws {
        func code(_ change: (inout NewJob) -> Void) -> JobsError.Code? {
            var job = NewJob(name: "n")
            change(&job)
            do throws(JobsError) { try job.validate() } catch { return error.code }
            return nil
        }
        #expect(code { _ in } == nil)
        #expect(code { $0.name = "a\nb" } == .invalidName)
        #expect(code { $0.name = String(repeating: "x", count: 201) } == .invalidName)
        #expect(code { $0.uniqueKey = "" } == .invalidName)
        #expect(code { $0.uniqueKey = "a\0b" } == .invalidName)
        #expect(code { $0.options.tags = [""] } == .invalidName)
        #expect(code { $0.options.tags = Array(repeating: "t", count: 17) } == .invalidName)
        #expect(code { $0.options.timeout = .zero } == .invalidOption)
        #expect(code { $0.options.retry.maxAttempts = 0 } == .invalidOption)
        #expect(code { $0.options.retry.jitter = 2 } == .invalidOption)
        let limit = NewJob.maxArgumentBytes
        #expect(code { $0.arguments = String(repeating: "1", count: limit) } == nil)
        #expect(
            code { $0.arguments = String(repeating: "1", count: limit + 1) } == .invalidArguments)
    }
}

@Suite struct `A time of a job` {
    @Test func `converts dates, and saturates`() {
        let date = Date(timeIntervalSince1970: 1_700_000_000.25)
        #expect(JobTime(date).microseconds == 1_700_000_000_250_000)
        #expect(JobTime(date).date == date)
        #expect(JobTime(Date(timeIntervalSince1970: .infinity)).microseconds == .max)
        #expect(JobTime(Date(timeIntervalSince1970: -1e300)).microseconds == .min)
        #expect((JobTime(microseconds: .max) + .seconds(1)).microseconds == .max)
        #expect((JobTime(microseconds: 0) + .nanoseconds(1)).microseconds == 1)
    }
}
