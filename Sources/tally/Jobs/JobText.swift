import Foundation
import NSQJobs
import TallyBasics

/// The attempts, dependencies and steps of one job.
struct JobDetails {
    /// The ended attempts.
    var attempts: [JobAttempt]
    /// The jobs for whose end it waits.
    var dependencies: [JobID]
    /// The completed steps.
    var steps: [JobStep]
}

/// Jobs and their counts as text for people.
enum JobText {
    /// A table with one line for each job.
    static func list(_ page: JobPage) -> String {
        var rows = [["id", "state", "queue", "priority", "attempt", "due", "name", "note"]]
        for job in page.jobs {
            rows.append([
                "\(job.id)", "\(job.state)", job.queue, "\(job.priority)",
                "\(job.attempt)/\(job.maxAttempts)", "\(job.dueAt)", job.name,
                LogText.sanitized(firstLine(of: job.note ?? "")),
            ])
        }
        var lines = TextTable.lines(rows)
        if page.jobs.isEmpty { lines = ["no jobs"] }
        if let next = page.next { lines.append("more jobs: --before=\(next)") }
        return lines.joined(separator: "\n")
    }

    /// All fields of a job, with its steps and attempts.
    static func job(_ job: JobRecord, _ details: JobDetails) -> String {
        var fields: [(String, String?)] = [
            ("id", "\(job.id)"), ("name", job.name), ("queue", job.queue),
            ("state", "\(job.state)" + (job.isCancelRequested ? ", cancellation requested" : "")),
            ("waits for", waits(job, details.dependencies)),
            ("batch", job.batch.map { "\($0)" }),
            ("priority", "\(job.priority)"),
            ("attempt", "\(job.attempt) of \(job.maxAttempts)"),
        ]
        fields += [
            ("arguments", EncryptedArguments.summary(of: job.arguments) ?? job.arguments),
            ("tags", job.tags.isEmpty ? nil : job.tags.joined(separator: ", ")),
            ("unique key", job.uniqueKey), ("limit key", job.limitKey),
            ("created", "\(job.createdAt)"),
            ("due", "\(job.dueAt)"), ("started", job.startedAt.map { "\($0)" }),
            ("finished", job.finishedAt.map { "\($0)" }),
            ("timeout", job.timeout.map { "\($0)" }), ("note", job.note), ("output", job.output),
        ]
        var lines = fields.compactMap { name, value in
            value.map { padded(name + ":", 12) + LogText.sanitized($0) }
        }
        for step in details.steps {
            lines.append(
                "step \(LogText.sanitized(step.name)): \(step.completedAt), "
                    + LogText.sanitized(step.result))
        }
        for attempt in details.attempts {
            lines.append(
                "attempt \(attempt.number): \(attempt.result), \(attempt.startedAt) to "
                    + "\(attempt.endedAt), worker \(attempt.worker)")
            if let error = attempt.error { lines.append("  " + LogText.sanitized(error)) }
        }
        return lines.joined(separator: "\n")
    }

    private static func waits(_ job: JobRecord, _ dependencies: [JobID]) -> String? {
        guard let wait = job.waitsFor else { return nil }
        guard wait == .jobs else { return "\(wait)" }
        return "\(wait) \(dependencies.map(\.description).joined(separator: ", "))"
    }

    /// A table with one line for each queue, and one for each worker that has not stopped.
    static func statistics(_ queues: [QueueCounts], _ workers: [WorkerRecord]) -> String {
        var rows = [["queue"] + JobState.allCases.map(\.description) + [""]]
        for queue in queues {
            rows.append(
                [queue.queue] + JobState.allCases.map { "\(queue[$0])" } + [notes(of: queue)])
        }
        var lines = queues.isEmpty ? ["no jobs"] : TextTable.lines(rows)
        for worker in workers where worker.stoppedAt == nil {
            lines.append(
                "worker \(worker.name): \(counted(worker.runningJobs.count, "job")) of "
                    + "\(worker.concurrency), queues \(worker.queues.joined(separator: ", ")), "
                    + "seen \(worker.seenAt)")
        }
        return lines.joined(separator: "\n")
    }

    /// The numbers of a batch.
    static func batch(_ batch: JobBatch) -> String {
        let state =
            batch.endedAt.map { "ended \($0)" } ?? (batch.isOpen ? "open" : "closed")
        var lines = [
            "batch \(batch.id): \(state)",
            "\(counted(batch.total, "job")): \(batch.pending) pending, \(batch.completed) completed, "
                + "\(batch.discarded) discarded, \(batch.cancelled) cancelled",
        ]
        if let callback = batch.callback { lines.append("callback: job \(callback)") }
        return lines.joined(separator: "\n")
    }

    /// The last column of a queue: whether it is paused, and its limits.
    private static func notes(of queue: QueueCounts) -> String {
        var notes = queue.isPaused ? ["paused"] : []
        if let limit = queue.limit { notes.append("limit \(text(of: limit))") }
        if let limit = queue.keyLimit { notes.append("limit per key \(text(of: limit))") }
        if queue.waitingForLimit > 0 {
            notes.append("\(counted(queue.waitingForLimit, "job")) waiting for a limit")
        }
        return notes.joined(separator: ", ")
    }

    /// A limit, such as `5 running, 100 starts per 60 seconds`.
    static func text(of limit: JobLimit) -> String {
        var parts = limit.maxRunning.map { ["\($0) running"] } ?? []
        if let rate = limit.rate {
            parts.append("\(counted(rate.starts, "start")) per \(rate.window)")
        }
        return parts.joined(separator: ", ")
    }

    /// A table with one line for each schedule.
    static func schedules(_ schedules: [CronSchedule]) -> String {
        var rows = [["schedule", "expression", "time zone", "missed", "next tick", "queue", "job"]]
        for schedule in schedules {
            rows.append([
                schedule.name, schedule.expression.text, schedule.expression.timeZone.identifier,
                "\(schedule.missed)", schedule.nextTick.map { "\($0)" } ?? "never",
                schedule.job.options.queue, schedule.job.name,
            ])
        }
        return schedules.isEmpty ? "no schedules" : TextTable.lines(rows).joined(separator: "\n")
    }

    private static func firstLine(of text: String) -> String {
        String(text.prefix { !$0.isNewline })
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
