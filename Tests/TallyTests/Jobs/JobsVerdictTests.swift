import NSQJobs
import TallyBasics
import TallyJSON
import Testing

@testable import tally

@Suite struct `The verdict of a run of background jobs` {
    private static let start = JobTime(microseconds: 1_000_000_000)

    /// The facts of a run that satisfies all rules.
    private func facts() throws -> JobsVerdict.Facts {
        var facts = JobsVerdict.Facts()
        var id: Int64 = 0
        for kind in DemoJob.Kind.allCases where kind != .rolledBack {
            for new in try DemoJobPlan.jobs(of: kind, at: Self.start) {
                id += 1
                try add(new, kind, JobID(id), to: &facts)
            }
        }
        let unique = facts.jobs.values.filter { $0.kind == .unique }.map(\.record.id)
        for _ in 1..<DemoJobPlan.enqueuesPerKey {
            facts.receipts += unique.map { EnqueueReceipt($0, .existing) }
        }
        facts.scheduledAt = Self.start
        for minute in 1...DemoJobPlan.missedMinutes {
            let due = Self.start + .seconds(minute * 60)
            let job = try DemoJobPlan.schedule().job
            facts.ticks.append(record(job, JobID(id + Int64(minute)), 1, due, false))
            facts.starts.append(.init(number: DemoJobPlan.tickNumber, attempt: 1, time: due))
        }
        return facts
    }

    private func add(
        _ new: NewJob, _ kind: DemoJob.Kind, _ id: JobID, to facts: inout JobsVerdict.Facts
    ) throws {
        let number = try #require(
            JSONValue(parsingStrictly: Array(new.arguments.utf8), maxDepth: 2)["number"].flatMap {
                Int(json: $0)
            })
        let isRetried = kind == .failsTwice || kind == .failsAlways
        let attempt = isRetried ? DemoJob.attempts : kind == .killed ? 2 : 1
        let due = new.dueAt ?? Self.start
        let time = due + .seconds(1) * new.options.priority.rawValue
        facts.jobs[number] = JobsVerdict.StoredJob(
            kind: kind, record: record(new, id, attempt, due, kind == .failsAlways))
        for run in (kind == .killed ? 2 : 1)...attempt {
            facts.starts.append(.init(number: number, attempt: run, time: time))
        }
        switch kind {
        case .unique: facts.receipts.append(EnqueueReceipt(id, .new))
        case .killed:
            facts.killedJobs.append(id)
            facts.attempts[id] = [ended(1, .leaseExpired)]
        case .failsTwice: facts.attempts[id] = (1..<DemoJob.attempts).map { ended($0, .failed) }
        case .failsAlways: facts.attempts[id] = (1...DemoJob.attempts).map { ended($0, .failed) }
        default: break
        }
    }

    private func ended(_ number: Int, _ result: JobAttempt.Result) -> JobAttempt {
        JobAttempt(
            number: number, worker: "w", startedAt: Self.start, endedAt: Self.start,
            result: result, error: "\(IntendedFailure(attempt: number))")
    }

    private func record(
        _ new: NewJob, _ id: JobID, _ attempt: Int, _ due: JobTime, _ isDiscarded: Bool,
        state: JobState? = nil
    ) -> JobRecord {
        JobRecord(
            id: id, queue: new.options.queue, name: new.name, arguments: new.arguments,
            priority: new.options.priority, tags: [], uniqueKey: new.uniqueKey,
            createdAt: Self.start, retry: new.options.retry, timeout: nil, note: nil, output: nil,
            lifecycle: JobLifecycle(
                state: state ?? (isDiscarded ? .discarded : .completed), attempt: attempt,
                maxAttempts: 20, version: 3, dueAt: due, lease: nil, isCancelRequested: false,
                startedAt: nil, finishedAt: Self.start))
    }

    private func broken(_ facts: JobsVerdict.Facts) -> [String] {
        JobsVerdict(facts).rules.filter { !$0.holds }.map(\.rule)
    }

    private func number(of kind: DemoJob.Kind, in facts: JobsVerdict.Facts) throws -> Int {
        try #require(facts.jobs.filter { $0.value.kind == kind }.keys.min())
    }

    @Test func `passes a run without faults, with one JSON object`() throws {
        let verdict = JobsVerdict(try facts())
        #expect(verdict.passes, "\(verdict.text)")
        let json = try JSONValue(parsingStrictly: verdict.json, maxDepth: 4)
        #expect(json["verdict"] == .string("pass") && json["jobs"] == .number("20010"))
        #expect(DemoJob.Kind.allCases.reduce(0) { $0 + DemoJobPlan.count(of: $1) } == 20_000)
    }

    @Test func `fails a schedule with a tick that is missing, doubled or did not run`() throws {
        let rule = "a schedule has one job for each minute that has passed, and each runs once"
        var missing = try facts()
        missing.ticks.remove(at: 4)
        #expect(broken(missing) == [rule])
        var doubled = try facts()
        doubled.ticks[4] = doubled.ticks[3]
        #expect(broken(doubled) == [rule])
        var late = try facts()
        late.starts.removeLast()
        #expect(broken(late) == [rule])
    }

    @Test func `fails a job that is missing or has not ended`() throws {
        var facts = try facts()
        let number = try number(of: .plain, in: facts)
        let job = try #require(facts.jobs[number])
        facts.jobs[number] = nil
        #expect(broken(facts) == ["every committed job comes to an end"])
        let new = NewJob(name: "demo", arguments: job.record.arguments)
        let waiting = record(
            new, job.record.id, 1, job.record.dueAt, false, state: .retryable)
        facts.jobs[number] = JobsVerdict.StoredJob(kind: .plain, record: waiting)
        #expect(broken(facts).contains("every committed job comes to an end"))
    }

    @Test func `fails a job that runs twice, or before its time`() throws {
        var facts = try facts()
        let number = try number(of: .delayed, in: facts)
        let index = try #require(facts.starts.firstIndex { $0.number == number })
        facts.starts.append(facts.starts[index])
        #expect(
            broken(facts) == ["each job runs once in each attempt, and never after it has ended"])
        facts.starts.removeLast()
        facts.starts[index] = .init(number: number, attempt: 1, time: Self.start)
        #expect(broken(facts) == ["a delayed job does not run before its time"])
    }

    @Test func `fails lost errors, and a lease that did not expire`() throws {
        for (kind, rule) in [
            (DemoJob.Kind.failsTwice, "a failed job is retried until it succeeds"),
            (.failsAlways, "a job that never succeeds is discarded"),
            (.killed, "the jobs of a worker that is killed run again"),
        ] {
            var facts = try facts()
            let job = try #require(facts.jobs[try number(of: kind, in: facts)])
            facts.attempts[job.record.id] = []
            #expect(broken(facts).map { $0.hasPrefix(rule) } == [true])
        }
    }

    @Test func `fails second jobs of a key, missing rows, and jobs of a rollback`() throws {
        var facts = try facts()
        facts.receipts[facts.receipts.count - 1] = EnqueueReceipt(JobID(30_000), .new)
        facts.missingRows = 1
        let number = try #require(DemoJob.Kind.allCases.firstIndex(of: .rolledBack)) * 1_000_000
        facts.starts.append(.init(number: number, attempt: 1, time: Self.start))
        #expect(
            broken(facts) == [
                "a unique key has one job, and other enqueues return it",
                "a job that is stored with a row finds the row",
                "no job of a transaction that is rolled back is stored or runs",
            ])
    }
}
