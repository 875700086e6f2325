import NSQJobs
import TallyBasics
import TallyJSON

/// The result of checking a run of background jobs against the rules.
///
/// The check compares the ``DemoJobPlan`` with the jobs in the store and with the log of their
/// starts.
struct JobsVerdict {
    /// A rule, and whether the run satisfies it.
    struct Rule {
        let rule: String
        let holds: Bool
        /// The measured values, or the first violation.
        let detail: String
    }

    /// A job of the store.
    struct StoredJob {
        let kind: DemoJob.Kind
        let record: JobRecord
    }

    /// The recorded facts of a run.
    struct Facts {
        /// The receipts of the enqueues with unique keys.
        var receipts: [EnqueueReceipt] = []
        /// The jobs that the killed worker was performing.
        var killedJobs: [JobID] = []
        var starts: [DemoJobLog.Start] = []
        var missingRows = 0
        /// The jobs by their number in the plan.
        var jobs: [Int: StoredJob] = [:]
        /// The jobs of the schedule.
        var ticks: [JobRecord] = []
        /// The time with which the schedule was stored, after which it has ticks.
        var scheduledAt = JobTime(microseconds: 0)
        /// The ended attempts of the jobs that failed or were killed.
        var attempts: [JobID: [JobAttempt]] = [:]
        var storing = Duration.zero
        /// The time from the last enqueue to the end of the last job.
        var performing = Duration.zero
    }

    let rules: [Rule]
    private let facts: Facts

    /// `true` if the run satisfies all rules.
    var passes: Bool { rules.allSatisfy(\.holds) }

    init(_ facts: Facts) {
        self.facts = facts
        rules = JobsVerdictChecker(facts).rules
    }

    private var seconds: Double { (facts.storing + facts.performing) / .seconds(1) }

    private func rate(_ count: Int, _ duration: Duration) -> Int {
        Int(Double(count) / max(duration / .seconds(1), 0.001))
    }

    /// One JSON object.
    var json: [UInt8] {
        JSONWriter.object { object in
            object.member("verdict", passes ? "pass" : "fail")
            object.name("rules")
            object.array(rules) { writer, rule in
                writer.object {
                    $0.member("rule", rule.rule)
                    $0.member("holds", rule.holds)
                    $0.member("detail", rule.detail)
                }
            }
            object.member("jobs", facts.jobs.count + facts.ticks.count)
            object.member("starts", facts.starts.count)
            object.member("seconds", seconds.rounded(to: 3))
            object.member("stored_per_second", rate(facts.jobs.count, facts.storing))
        }
    }

    /// The verdict as text for people.
    var text: String {
        var lines = ["verdict: \(passes ? "pass" : "fail")", ""]
        for rule in rules {
            lines.append("  \(rule.holds ? "holds " : "BROKEN")  \(rule.rule)")
            lines.append("          \(rule.detail)")
        }
        lines.append("")
        lines.append(
            "\(counted(facts.jobs.count + facts.ticks.count, "job")) with \(counted(facts.starts.count, "start")) in "
                + "\(seconds.rounded(to: 3)) s; stored \(rate(facts.jobs.count, facts.storing)) per "
                + "second")
        return lines.joined(separator: "\n")
    }
}
