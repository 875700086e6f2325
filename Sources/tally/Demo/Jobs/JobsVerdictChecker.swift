import NSQJobs
import TallyBasics

/// Checks the rules of ``JobsVerdict``.
struct JobsVerdictChecker {
    private let facts: JobsVerdict.Facts
    /// The starts of each job by its number.
    private let starts: [Int: [DemoJobLog.Start]]

    init(_ facts: JobsVerdict.Facts) {
        self.facts = facts
        starts = Dictionary(grouping: facts.starts, by: \.number)
    }

    var rules: [JobsVerdict.Rule] {
        [
            ends, starts(of: "each job runs once in each attempt, and never after it has ended"),
            delays, retries, discards, uniqueness, transactions, rollback, schedule,
            killedWorker,
        ]
    }

    private typealias StoredJob = JobsVerdict.StoredJob

    private func jobs(of kind: DemoJob.Kind) -> [(number: Int, job: StoredJob)] {
        facts.jobs.filter { $0.value.kind == kind }.map { ($0.key, $0.value) }
            .sorted { $0.0 < $1.0 }
    }

    /// Creates a rule that holds if there is no violation.
    private func rule(
        _ text: String, _ violation: String?, _ detail: String
    ) -> JobsVerdict.Rule {
        JobsVerdict.Rule(rule: text, holds: violation == nil, detail: violation ?? detail)
    }

    /// Checks the number of jobs of a kind, and then each of them.
    ///
    /// - Parameter check: returns a description of a violation; `nil` if there is none.
    private func violation(
        in kind: DemoJob.Kind, _ check: (Int, JobRecord) -> String?
    ) -> String? {
        let jobs = jobs(of: kind)
        let expected = DemoJobPlan.count(of: kind)
        guard jobs.count == expected else {
            return "\(counted(jobs.count, "job")) instead of \(expected)"
        }
        for (number, job) in jobs {
            if let text = check(number, job.record) { return "job \(job.record.id) \(text)" }
        }
        return nil
    }

    // MARK: Rules

    private var ends: JobsVerdict.Rule {
        let unfinished = facts.jobs.values.filter { !$0.record.state.isFinal }
        let wrong = facts.jobs.values.filter {
            $0.record.state != ($0.kind == .failsAlways ? .discarded : .completed)
        }
        let violation: String? =
            if facts.jobs.count != DemoJobPlan.total {
                "\(facts.jobs.count) of \(DemoJobPlan.total) jobs are stored"
            } else if let job = unfinished.first {
                "\(counted(unfinished.count, "job")) did not end, such as job \(job.record.id), which "
                    + "is \(job.record.state)"
            } else {
                wrong.first.map { "job \($0.record.id) is \($0.record.state)" }
            }
        return rule(
            "every committed job comes to an end", violation,
            "\(DemoJobPlan.total) jobs of \(DemoJobPlan.queues.count + 1) queues")
    }

    private func starts(of text: String) -> JobsVerdict.Rule {
        var violation: String?
        for (number, job) in facts.jobs where violation == nil {
            let attempts = (starts[number] ?? []).map(\.attempt).sorted()
            let first = job.kind == .killed ? 2 : 1
            let expected = Array(first...max(first, job.record.attempt))
            if attempts != expected {
                violation = "job \(job.record.id) started in the attempts \(attempts)"
            }
        }
        return rule(text, violation, counted(facts.starts.count, "start"))
    }

    private var delays: JobsVerdict.Rule {
        var latest = Duration.zero
        let violation = violation(in: .delayed) { number, job in
            guard let start = starts[number]?.first else { return "did not run" }
            latest = max(latest, start.time - job.dueAt)
            return start.time < job.dueAt ? "ran \(job.dueAt - start.time) before its time" : nil
        }
        return rule(
            "a delayed job does not run before its time", violation,
            "\(DemoJobPlan.count(of: .delayed)) jobs, the last one "
                + "\((latest / .seconds(1)).rounded(to: 3)) s after its time")
    }

    private var retries: JobsVerdict.Rule {
        let violation = violation(in: .failsTwice) { _, job in
            let errors = facts.attempts[job.id]?.compactMap(\.error) ?? []
            let expected = (1..<DemoJob.attempts).map { "\(IntendedFailure(attempt: $0))" }
            guard job.attempt == DemoJob.attempts else { return "has \(job.attempt) attempts" }
            return Array(errors.prefix(expected.count)) == expected
                ? nil : "has the errors \(errors)"
        }
        return rule(
            "a failed job is retried until it succeeds, and its errors are kept", violation,
            "\(DemoJobPlan.count(of: .failsTwice)) jobs with \(DemoJob.attempts) attempts")
    }

    private var discards: JobsVerdict.Rule {
        let violation = violation(in: .failsAlways) { _, job in
            guard job.state == .discarded, job.attempt == DemoJob.attempts else {
                return "is \(job.state) after \(job.attempt) attempts"
            }
            let attempts = facts.attempts[job.id] ?? []
            return attempts.count == DemoJob.attempts ? nil : "has \(attempts.count) attempts kept"
        }
        return rule(
            "a job that never succeeds is discarded after its last attempt", violation,
            "\(DemoJobPlan.count(of: .failsAlways)) jobs with \(DemoJob.attempts) attempts")
    }

    private var uniqueness: JobsVerdict.Rule {
        let new = facts.receipts.count { $0.kind == .new }
        let keys = DemoJobPlan.count(of: .unique)
        let ids = Set(facts.receipts.map(\.id)).count
        let violation: String? =
            new == keys && ids == keys
            ? violation(in: .unique) { number, job in
                starts[number]?.count == 1 ? nil : "did not run once"
            } : "\(new) jobs were stored for \(keys) keys"
        return rule(
            "a unique key has one job, and other enqueues return it", violation,
            "\(facts.receipts.count) enqueues of \(keys) keys")
    }

    private var transactions: JobsVerdict.Rule {
        let violation = violation(in: .transactional) { number, _ in
            starts[number] == nil ? "did not run" : nil
        }
        let missing = facts.missingRows
        return rule(
            "a job that is stored with a row finds the row",
            violation ?? (missing == 0 ? nil : "\(counted(missing, "job")) found no row"),
            "\(DemoJobPlan.count(of: .transactional)) jobs")
    }

    private var rollback: JobsVerdict.Rule {
        let first = (DemoJob.Kind.allCases.firstIndex(of: .rolledBack) ?? 0) * 1_000_000
        let ran = starts.keys.count { (first..<first + 1_000_000).contains($0) }
        let violation =
            violation(in: .rolledBack) { _, _ in "is stored" }
            ?? (ran == 0 ? nil : "\(counted(ran, "job")) ran")
        return rule(
            "no job of a transaction that is rolled back is stored or runs", violation,
            "\(DemoJobPlan.rolledBackCount) jobs")
    }

    private var schedule: JobsVerdict.Rule {
        let minute = Duration.seconds(60)
        let times = facts.ticks.map(\.dueAt).sorted()
        let isConsecutive = zip(times, times.dropFirst()).allSatisfy { $1 - $0 == minute }
        let first = times.first.map { $0 - facts.scheduledAt } ?? .zero
        let ran = starts[DemoJobPlan.tickNumber]?.count ?? 0
        let violation: String? =
            if times.count < DemoJobPlan.missedMinutes {
                "\(counted(times.count, "tick")) instead of \(DemoJobPlan.missedMinutes)"
            } else if !isConsecutive || !(.nanoseconds(1)...minute).contains(first) {
                "the ticks are not one in each minute: \(times)"
            } else if ran != times.count || facts.ticks.contains(where: { $0.state != .completed })
            {
                "\(counted(times.count, "tick")) with \(counted(ran, "start"))"
            } else {
                nil
            }
        return rule(
            "a schedule has one job for each minute that has passed, and each runs once", violation,
            counted(times.count, "tick"))
    }

    private var killedWorker: JobsVerdict.Rule {
        let violation = violation(in: .killed) { _, job in
            guard facts.killedJobs.contains(job.id) else {
                return "did not run in the killed worker"
            }
            let results = facts.attempts[job.id]?.map(\.result) ?? []
            return results.first == .leaseExpired ? nil : "has the attempts \(results)"
        }
        return rule(
            "the jobs of a worker that is killed run again, and the lost attempts are kept",
            violation, counted(facts.killedJobs.count, "job"))
    }
}
