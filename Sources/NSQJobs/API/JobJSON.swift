import Foundation
import TallyJSON

/// The JSON of jobs and their counts, for the command line and the HTTP API.
package enum JobJSON {
    /// Writes a job as an object.
    ///
    /// - Parameters:
    ///   - attempts: the ended attempts, which become a member; `nil` for none.
    ///   - dependencies: the jobs for which it waits, which become a member; `nil` for none.
    ///   - steps: its completed steps, which become a member; `nil` for none.
    package static func write(
        _ job: JobRecord, attempts: [JobAttempt]? = nil, dependencies: [JobID]? = nil,
        steps: [JobStep]? = nil, to writer: inout JSONWriter
    ) {
        writer.object { object in
            object.member("id", Int(job.id.number))
            object.member("name", job.name)
            object.member("queue", job.queue)
            object.member("state", job.state.description)
            object.member("priority", job.priority.description)
            object.member("attempt", job.attempt)
            object.member("max_attempts", job.maxAttempts)
            object.member("arguments", StoredJSON(job.arguments))
            object.member("tags", job.tags)
            object.member("unique_key", job.uniqueKey)
            object.member("limit_key", job.limitKey)
            object.member("waits_for", job.waitsFor?.description)
            object.member("batch", job.batch.map { Int($0.number) })
            object.member("created_at", job.createdAt.description)
            object.member("due_at", job.dueAt.description)
            object.member("started_at", job.startedAt?.description)
            object.member("finished_at", job.finishedAt?.description)
            object.member("timeout_seconds", job.timeout.map { $0 / .seconds(1) })
            object.member("cancel_requested", job.isCancelRequested)
            object.member("note", job.note)
            object.member("output", job.output.map(StoredJSON.init))
            object.member(
                "traceparent", job.traceContext["traceparent"])
            if let dependencies {
                object.member("waits_for_jobs", dependencies.map { Int($0.number) })
            }
            if let steps {
                object.name("steps")
                object.array(steps) { writer, step in
                    writer.object { object in
                        object.member("name", step.name)
                        object.member("completed_at", step.completedAt.description)
                        object.member("result", StoredJSON(step.result))
                    }
                }
            }
            if let attempts {
                object.name("attempts")
                object.array(attempts) { write($1, to: &$0) }
            }
        }
    }

    private static func write(_ attempt: JobAttempt, to writer: inout JSONWriter) {
        writer.object { object in
            object.member("number", attempt.number)
            object.member("worker", attempt.worker)
            object.member("started_at", attempt.startedAt.description)
            object.member("ended_at", attempt.endedAt.description)
            object.member("result", attempt.result.description)
            object.member("error", attempt.error)
        }
    }

    /// Returns a page of a list as one object.
    package static func page(_ page: JobPage) -> [UInt8] {
        JSONWriter.object { object in
            object.name("jobs")
            object.array(page.jobs) { write($1, to: &$0) }
            object.member("next", page.next.map { Int($0.number) })
        }
    }

    /// Returns a job as one object.
    package static func job(
        _ job: JobRecord, attempts: [JobAttempt]? = nil, dependencies: [JobID]? = nil,
        steps: [JobStep]? = nil
    ) -> [UInt8] {
        var writer = JSONWriter()
        write(job, attempts: attempts, dependencies: dependencies, steps: steps, to: &writer)
        return writer.bytes
    }

    /// Returns the receipt of an enqueue as one object.
    package static func receipt(_ receipt: EnqueueReceipt) -> [UInt8] {
        JSONWriter.object { object in
            object.member("id", Int(receipt.id.number))
            object.member("result", receipt.kind.description)
        }
    }

    /// Returns the queues with their counts, and the workers, as one object.
    package static func statistics(
        _ queues: [QueueCounts], _ workers: [WorkerRecord]
    ) -> [UInt8] {
        JSONWriter.object { object in
            object.name("queues")
            object.array(queues) { writer, queue in
                writer.object { object in
                    object.member("queue", queue.queue)
                    object.member("paused", queue.isPaused)
                    for state in JobState.allCases { object.member("\(state)", queue[state]) }
                    object.member("limit", queue.limit.map(LimitJSON.init))
                    object.member("key_limit", queue.keyLimit.map(LimitJSON.init))
                    object.member("waiting_for_limit", queue.waitingForLimit)
                }
            }
            object.name("workers")
            object.array(workers) { write($1, to: &$0) }
        }
    }

    /// Returns a batch as one object.
    package static func batch(_ batch: JobBatch) -> [UInt8] {
        JSONWriter.object { object in
            object.member("id", Int(batch.id.number))
            object.member("open", batch.isOpen)
            object.member("total", batch.total)
            object.member("pending", batch.pending)
            object.member("completed", batch.completed)
            object.member("discarded", batch.discarded)
            object.member("cancelled", batch.cancelled)
            object.member("callback", batch.callback.map { Int($0.number) })
            object.member("created_at", batch.createdAt.description)
            object.member("ended_at", batch.endedAt?.description)
        }
    }

    /// Returns a limit of a queue as one object.
    package static func limit(_ limit: JobLimit?, queue: String, isPerKey: Bool) -> [UInt8] {
        JSONWriter.object { object in
            object.member("queue", queue)
            object.member("per_key", isPerKey)
            object.member("limit", limit.map(LimitJSON.init))
        }
    }

    /// Returns schedules as one object.
    package static func schedules(_ schedules: [CronSchedule]) -> [UInt8] {
        JSONWriter.object { object in
            object.name("schedules")
            object.array(schedules) { writer, schedule in
                writer.object { object in
                    object.member("name", schedule.name)
                    object.member("expression", schedule.expression.text)
                    object.member("time_zone", schedule.expression.timeZone.identifier)
                    object.member("missed", "\(schedule.missed)")
                    object.member("next_tick", schedule.nextTick?.description)
                    object.member("job", schedule.job.name)
                    object.member("queue", schedule.job.options.queue)
                    object.member("arguments", StoredJSON(schedule.job.arguments))
                }
            }
        }
    }

    private static func write(_ worker: WorkerRecord, to writer: inout JSONWriter) {
        writer.object { object in
            object.member("number", Int(worker.number))
            object.member("name", worker.name)
            object.member("queues", worker.queues)
            object.member("concurrency", worker.concurrency)
            object.member("started_at", worker.startedAt.description)
            object.member("seen_at", worker.seenAt.description)
            object.member("stopped_at", worker.stoppedAt?.description)
            object.member("running_jobs", worker.runningJobs.map { Int($0.number) })
        }
    }
}

extension EnqueueReceipt.Kind: CustomStringConvertible {
    /// The name of the kind: `new`, `existing` or `replaced`.
    public var description: String {
        switch self {
        case .new: "new"
        case .existing: "existing"
        case .replaced: "replaced"
        }
    }
}

/// JSON that a job has stored, on one line.
private struct StoredJSON: JSONWritable {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// Writes the value. If the stored text is not JSON, because another program has changed it in the
    /// database, writes the text as a string.
    func write(to bytes: inout [UInt8]) {
        let stored = Array(text.utf8)
        guard (try? JSONValue(parsingStrictly: stored, maxDepth: 512)) != nil else {
            return text.write(to: &bytes)
        }
        // Line breaks in JSON are white space, because those in strings are escaped.
        bytes += stored.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    }
}

/// A limit as an object.
package struct LimitJSON: JSONWritable {
    private let limit: JobLimit

    package init(_ limit: JobLimit) {
        self.limit = limit
    }

    package func write(to bytes: inout [UInt8]) {
        bytes += JSONWriter.object { object in
            object.member("concurrency", limit.maxRunning)
            object.member("rate_starts", limit.rate?.starts)
            object.member("rate_seconds", limit.rate.map { $0.window / .seconds(1) })
        }
    }
}
