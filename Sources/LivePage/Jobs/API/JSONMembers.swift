import NSQJobs
import TallyJSON

/// The members of an object in the body of a request.
struct JSONMembers {
    private let values: [JSONValue.Member]

    /// - Parameter names: the names of the members that the object may have.
    init(_ json: JSONValue, names: Set<String>) throws(JobsAPIRequest.Refusal) {
        guard case .object(let members) = json else {
            throw .init(400, "the body must be an object")
        }
        if let unknown = members.first(where: { !names.contains($0.name) }) {
            let known = names.sorted().joined(separator: ", ")
            throw .init(400, "unknown member '\(unknown.name)': expected \(known)")
        }
        values = members
    }

    /// The value of a member; `nil` if it is missing or `null`.
    subscript(_ name: String) -> JSONValue? {
        let value = values.first { $0.name == name }?.value
        return value == .null ? nil : value
    }

    func value<Value: JSONReadable>(
        _ name: String, _ type: Value.Type, _ expectation: String
    ) throws(JobsAPIRequest.Refusal) -> Value? {
        guard let json = self[name] else { return nil }
        guard let value = Value(json: json) else {
            throw .init(400, "\(name) must be \(expectation)")
        }
        return value
    }

    func text(_ name: String) throws(JobsAPIRequest.Refusal) -> String? {
        try value(name, String.self, "a string")
    }

    /// A duration in seconds, of at most 100 years.
    func duration(_ name: String) throws(JobsAPIRequest.Refusal) -> Duration? {
        guard let json = self[name] else { return nil }
        guard case .number(let digits) = json, let seconds = Double(digits),
            (0...3_155_760_000).contains(seconds)
        else { throw .init(400, "\(name) must be a number of seconds from 0 to 100 years") }
        return .seconds(seconds)
    }

    func priority() throws(JobsAPIRequest.Refusal) -> JobPriority? {
        guard let name = try text("priority") else { return nil }
        guard let priority = JobPriority(name) else {
            throw .init(400, "priority must be high, normal or low")
        }
        return priority
    }

    func dueAt(_ now: JobTime) throws(JobsAPIRequest.Refusal) -> JobTime? {
        let delay = try duration("delay_seconds")
        guard let text = try text("due_at") else { return delay.map { now + $0 } }
        guard delay == nil else { throw .init(400, "delay_seconds and due_at cannot be combined") }
        guard let time = JobTime(iso8601: text) else {
            throw .init(400, "due_at must be a time such as 2026-01-31T12:00:00Z")
        }
        return time
    }

    func dependencies() throws(JobsAPIRequest.Refusal) -> JobDependencies? {
        let policy = try text("on_failure").map { JobDependencies.FailurePolicy($0) }
        if case .some(nil) = policy { throw .init(400, "on_failure must be cancel, run or wait") }
        guard let ids = try value("after", [Int].self, "an array of job IDs") else {
            guard policy == nil else { throw .init(400, "on_failure needs after") }
            return nil
        }
        return JobDependencies(
            ids.map { JobID(Int64($0)) }, onFailure: policy.flatMap { $0 } ?? .cancel)
    }

    func batchID() throws(JobsAPIRequest.Refusal) -> JobBatchID? {
        try value("batch", Int.self, "the ID of a batch").map { JobBatchID(Int64($0)) }
    }

    func arguments() -> String? {
        self["arguments"].map { String(decoding: JSONWriter.value($0), as: UTF8.self) }
    }
}

extension NewJob {
    private static let names: Set<String> = [
        "name", "arguments", "queue", "priority", "tags", "unique_key", "limit_key",
        "delay_seconds", "due_at", "max_attempts", "retry_delay_seconds", "timeout_seconds",
        "after", "on_failure", "batch", "fleeting",
    ]

    /// Parses one job in the body of `POST /api/jobs` or `POST /api/batches`.
    ///
    /// - Parameter now: the time from which `delay_seconds` counts.
    init(json: JSONValue, at now: JobTime) throws(JobsAPIRequest.Refusal) {
        let members = try JSONMembers(json, names: Self.names)
        guard let name = try members.text("name") else { throw .init(400, "name is missing") }
        var options = JobOptions(
            maxAttempts: try members.value("max_attempts", Int.self, "a whole number"),
            timeout: try members.duration("timeout_seconds"))
        if try members.value("fleeting", Bool.self, "true or false") == true {
            options.grade = .fleeting
        }
        if let queue = try members.text("queue") { options.queue = queue }
        if let priority = try members.priority() { options.priority = priority }
        if let tags = try members.value("tags", [String].self, "an array of strings") {
            options.tags = tags
        }
        if let delay = try members.duration("retry_delay_seconds") {
            options.retry.firstDelay = delay
        }
        self.init(
            name: name, arguments: members.arguments() ?? "{}", options: options,
            uniqueKey: try members.text("unique_key"), limitKey: try members.text("limit_key"),
            dependencies: try members.dependencies(), batch: try members.batchID(),
            dueAt: try members.dueAt(now))
    }

    /// Parses the body of `POST /api/batches`.
    static func batch(
        json: JSONValue, at now: JobTime
    ) throws(JobsAPIRequest.Refusal) -> (jobs: [NewJob], callback: NewJob?) {
        let members = try JSONMembers(json, names: ["jobs", "callback"])
        guard case .array(let values)? = members["jobs"] else {
            throw .init(400, "jobs must be an array of jobs")
        }
        var jobs: [NewJob] = []
        for value in values { jobs.append(try NewJob(json: value, at: now)) }
        guard let callback = members["callback"] else { return (jobs, nil) }
        return (jobs, try NewJob(json: callback, at: now))
    }
}

extension JobLimit {
    private static let names: Set<String> = [
        "concurrency", "rate_starts", "rate_seconds", "per_key",
    ]

    /// Parses the body of `POST /api/queues/NAME/limit`.
    static func parse(
        _ json: JSONValue
    ) throws(JobsAPIRequest.Refusal) -> (limit: JobLimit, isPerKey: Bool) {
        let members = try JSONMembers(json, names: names)
        var limit = JobLimit(
            maxRunning: try members.value("concurrency", Int.self, "a whole number"))
        let starts = try members.value("rate_starts", Int.self, "a whole number")
        let window = try members.duration("rate_seconds")
        guard (starts == nil) == (window == nil) else {
            throw .init(400, "rate_starts and rate_seconds must be used together")
        }
        if let starts, let window { limit.rate = .init(starts, per: window) }
        return (limit, try members.value("per_key", Bool.self, "true or false") ?? false)
    }
}

extension JobEdit {
    private static let names: Set<String> = [
        "arguments", "queue", "priority", "tags", "delay_seconds", "due_at", "max_attempts",
    ]

    /// Parses the body of `POST /api/jobs/ID/edit`.
    init(json: JSONValue, at now: JobTime) throws(JobsAPIRequest.Refusal) {
        let members = try JSONMembers(json, names: Self.names)
        self.init(
            queue: try members.text("queue"), arguments: members.arguments(),
            priority: try members.priority(),
            tags: try members.value("tags", [String].self, "an array of strings"),
            dueAt: try members.dueAt(now),
            maxAttempts: try members.value("max_attempts", Int.self, "a whole number"))
        guard self != JobEdit() else {
            throw .init(
                400, "nothing to change: expected \(Self.names.sorted().joined(separator: ", "))")
        }
    }
}
