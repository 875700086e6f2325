import TallyBasics
import TallyJSON

/// The body of an NSQ message that is a fleeting job, which has no row in the store: a line of JSON
/// with the settings, then the arguments.
///
/// ```
/// {"fleeting":5000000000000000001,"name":"Count","max_attempts":20,"created_at":1700000000000000}
/// {"page":7}
/// ```
///
/// The retry policy and the timeout have their own members if they are not the defaults.
/// `earlier_attempts` is the number of attempts before those of this message, if there were any.
package struct FleetingMessage: Hashable, Sendable {
    package let id: JobID
    package let job: NewJob
    package let createdAt: JobTime
    /// The number of attempts that earlier messages of the job have used: 0 to ``maxEarlierAttempts``.
    package var earlierAttempts = 0

    /// The maximum delay of a message: the default of nsqd's `--max-req-timeout`.
    static let maxDelay = Duration.seconds(3600)
    private static let maxEarlierAttempts = 1_000_000

    package init(_ job: NewJob, id: JobID, createdAt: JobTime) {
        self.job = job
        self.id = id
        self.createdAt = createdAt
    }

    package var body: [UInt8] {
        let (retry, usual) = (job.options.retry, JobRetryPolicy())
        var bytes = JSONWriter.object { object in
            object.member("fleeting", Int(id.number))
            object.member("name", job.name)
            object.member("max_attempts", retry.maxAttempts)
            object.member("created_at", Int(createdAt.microseconds))
            if retry.firstDelay != usual.firstDelay {
                object.member("first_delay", Int(retry.firstDelay.microsecondsRoundedUp))
            }
            if retry.maxDelay != usual.maxDelay {
                object.member("max_delay", Int(retry.maxDelay.microsecondsRoundedUp))
            }
            if let timeout = job.options.timeout {
                object.member("timeout", Int(timeout.microsecondsRoundedUp))
            }
            if earlierAttempts > 0 { object.member("earlier_attempts", earlierAttempts) }
            // The trace context is an object in a string, because the parser of this message reads
            // no nested values.
            if let trace = TraceContext.encode(TraceContext.bounded(job.traceContext)) {
                object.member("trace_context", trace)
            }
        }
        bytes.append(UInt8(ascii: "\n"))
        bytes += job.arguments.utf8
        return bytes
    }

    /// Parses a body; `nil` if it is not such a message. Unknown members are ignored.
    package init?(parsing body: UnsafeRawBufferPointer, of topic: JobTopic) {
        // The slice is rebased to a buffer, because copying from a slice takes several times as
        // long.
        guard let end = body.firstIndex(of: UInt8(ascii: "\n")),
            let members =
                (try? JSONValue.flatObject(
                    parsingLikeGo: UnsafeRawBufferPointer(rebasing: body[..<end]))) ?? nil
        else { return nil }
        var options = JobOptions(queue: topic.queue, priority: topic.priority)
        var (id, name, created) = (Int64?.none, "", Int64(0))
        var traceContext: String?
        var earlierAttempts = 0
        for member in members {
            switch member.value {
            case .string(let text):
                if member.name == "name" { name = text }
                if member.name == "trace_context" { traceContext = text }
            case .number(let digits):
                guard let number = Int64(digits) else { return nil }
                switch member.name {
                case "fleeting": id = number
                case "created_at": created = number
                case "max_attempts": options.retry.maxAttempts = Int(number)
                case "first_delay": options.retry.firstDelay = .microseconds(number)
                case "max_delay": options.retry.maxDelay = .microseconds(number)
                case "earlier_attempts":
                    guard (0...Int64(Self.maxEarlierAttempts)).contains(number) else { return nil }
                    earlierAttempts = Int(number)
                case "timeout": options.timeout = .microseconds(number)
                default: break
                }
            default: break
            }
        }
        guard let id = id.map({ JobID($0) }), id.isFleeting, !name.isEmpty else { return nil }
        let arguments = String(
            decoding: UnsafeRawBufferPointer(rebasing: body[(end + 1)...]), as: UTF8.self)
        var job = NewJob(name: name, arguments: arguments, options: options)
        job.traceContext = TraceContext.bounded(TraceContext.decode(traceContext))
        guard (try? job.validate()) != nil else { return nil }
        self.init(job, id: id, createdAt: JobTime(microseconds: created))
        self.earlierAttempts = earlierAttempts
    }

    /// The job as a worker performs it.
    ///
    /// - Parameter attempt: the number of deliveries, including this one.
    func record(attempt: Int, at now: JobTime) -> JobRecord {
        let options = job.options
        let lifecycle = JobLifecycle(
            state: .running, attempt: attempt, maxAttempts: options.retry.maxAttempts, version: 1,
            dueAt: createdAt,
            lease: JobLifecycle.Lease(worker: 0, end: MonotonicInstant(nanoseconds: .max)),
            isCancelRequested: false, startedAt: now, finishedAt: nil)
        return JobRecord(
            id: id, queue: options.queue, name: job.name, arguments: job.arguments,
            priority: options.priority, tags: [], uniqueKey: nil, createdAt: createdAt,
            retry: options.retry, timeout: options.timeout, note: nil, output: nil,
            traceContext: job.traceContext, lifecycle: lifecycle)
    }
}
