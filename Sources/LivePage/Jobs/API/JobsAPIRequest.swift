import HTTP
import NSQJobs
import TallyJSON

/// An operation of the HTTP API of background jobs.
enum JobsAPIRequest: Equatable {
    case enqueue([NewJob], isList: Bool)
    /// Lists jobs, with shortened arguments and errors if `isSummary` is `true`.
    case list(JobQuery, isSummary: Bool)
    case statistics
    case names(prefix: String)
    case show(JobID)
    case change(JobID, Change)
    case edit(JobID, JobEdit)
    case setPaused(Bool, queue: String)
    /// Lists the actions whose numbers are less than `before`; the latest actions if it is `nil`.
    case actions(before: Int64?)
    /// Counts the jobs that a change would select.
    case preview(JobQuery)
    case startBulk(Bulk)
    case cancelBulk(Int)
    case enqueueBatch([NewJob], then: NewJob?)
    case showBatch(JobBatchID)
    case setLimit(JobLimit, queue: String, isPerKey: Bool)

    /// A change of one job without arguments.
    enum Change: String {
        case retry, cancel, discard
    }

    /// The reason why a request is refused, with the status of the response.
    struct Refusal: Error, Equatable {
        let status: Int
        let reason: String
        /// The methods that the path allows, as the value of `Allow` in a response with status 405.
        var allowed: String?

        init(_ status: Int, _ reason: String, allowed: String? = nil) {
            self.status = status
            self.reason = reason
            self.allowed = allowed
        }
    }

    /// The prefixes of all paths of the API.
    private static let roots = ["/api/jobs", "/api/queues", "/api/batches"]

    /// Returns `true` for the paths of the API.
    static func includes(_ path: String) -> Bool { roots.contains { path.hasPrefix($0) } }

    /// Parses a request.
    ///
    /// - Parameter now: the time from which delays count.
    init(_ request: HTTPRequest, at now: JobTime) throws(Refusal) {
        let parts = request.target.path.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count >= 2, Self.includes(request.target.path) else { throw .notFound }
        switch (parts[1], parts.count) {
        case ("jobs", 2): self = try Self.jobs(request, now)
        case ("jobs", 3) where parts[2] == "bulk":
            try Self.require("POST", request)
            self = .startBulk(try Bulk(json: Self.body(request)))
        case ("jobs", 3) where ["stats", "names", "preview", "actions"].contains(parts[2]):
            try Self.require("GET", request)
            self = try Self.reading(String(parts[2]), try Self.query(request))
        case ("jobs", 3):
            try Self.require("GET", request)
            self = .show(try Self.id(parts[2]))
        case ("jobs", 5) where parts[2] == "bulk" && parts[4] == "cancel":
            try Self.require("POST", request)
            guard let number = Int(parts[3]) else { throw .notFound }
            self = .cancelBulk(number)
        case ("jobs", 4): self = try Self.action(request, String(parts[3]), parts[2], now)
        case ("queues", 4) where ["pause", "resume"].contains(parts[3]):
            try Self.require("POST", request)
            self = .setPaused(parts[3] == "pause", queue: String(parts[2]))
        case ("batches", 2):
            try Self.require("POST", request)
            var (jobs, callback) = try NewJob.batch(json: Self.body(request), at: now)
            let trace = Self.trace(request)
            for index in jobs.indices { jobs[index].traceContext = trace }
            callback?.traceContext = trace
            self = .enqueueBatch(jobs, then: callback)
        case ("batches", 3):
            try Self.require("GET", request)
            guard let id = JobBatchID(String(parts[2])) else {
                throw Refusal(400, "invalid batch ID '\(parts[2])': expected a positive number")
            }
            self = .showBatch(id)
        case ("queues", 4) where parts[3] == "limit":
            try Self.require("POST", request)
            let (limit, isPerKey) = try JobLimit.parse(Self.body(request))
            self = .setLimit(limit, queue: String(parts[2]), isPerKey: isPerKey)
        default: throw .notFound
        }
    }

    private static func jobs(
        _ request: HTTPRequest, _ now: JobTime
    ) throws(Refusal) -> JobsAPIRequest {
        switch request.method {
        case "POST":
            let json = try body(request)
            let trace = trace(request)
            func job(_ json: JSONValue) throws(Refusal) -> NewJob {
                var job = try NewJob(json: json, at: now)
                job.traceContext = trace
                return job
            }
            if case .array(let values) = json {
                var jobs: [NewJob] = []
                for value in values { jobs.append(try job(value)) }
                return .enqueue(jobs, isList: true)
            }
            return .enqueue([try job(json)], isList: false)
        case "GET", "HEAD":
            let query = try query(request)
            return .list(try JobQuery(query), isSummary: query["summary"] == "true")
        default: throw Refusal(405, "use GET or POST", allowed: "GET, HEAD, POST")
        }
    }

    private static func trace(_ request: HTTPRequest) -> [String: String] {
        TraceContext.w3c(
            parent: request.headers["traceparent"], state: request.headers["tracestate"])
    }

    private static func query(_ request: HTTPRequest) throws(Refusal) -> HTTPQuery {
        guard let query = HTTPQuery(parsing: request.target.query) else {
            throw Refusal(400, "malformed query string")
        }
        return query
    }

    private static func reading(
        _ name: String, _ query: HTTPQuery
    ) throws(Refusal) -> JobsAPIRequest {
        switch name {
        case "stats": return .statistics
        case "names": return .names(prefix: query["prefix"] ?? "")
        case "preview": return .preview(try JobQuery(query))
        default:
            guard let text = query["before"] else { return .actions(before: nil) }
            guard let number = Int64(text) else {
                throw Refusal(400, "before must be the number of an action")
            }
            return .actions(before: number)
        }
    }

    private static func action(
        _ request: HTTPRequest, _ name: String, _ id: Substring, _ now: JobTime
    ) throws(Refusal) -> JobsAPIRequest {
        let change = Change(rawValue: name)
        guard change != nil || name == "edit" else { throw .notFound }
        try require("POST", request)
        let id = try self.id(id)
        if let change { return .change(id, change) }
        return .edit(id, try JobEdit(json: body(request), at: now))
    }

    static func require(_ method: String, _ request: HTTPRequest) throws(Refusal) {
        guard request.method == method || (method == "GET" && request.method == "HEAD") else {
            let allowed = method == "GET" ? "GET, HEAD" : method
            throw Refusal(405, "use \(method)", allowed: allowed)
        }
    }

    private static func id(_ text: Substring) throws(Refusal) -> JobID {
        guard let id = JobID(String(text)) else {
            throw Refusal(400, "invalid job ID '\(text)': expected a positive number")
        }
        return id
    }

    /// The maximum depth of arrays and objects in a body: two more than arguments may have.
    private static let maxDepth = 514

    private static func body(_ request: HTTPRequest) throws(Refusal) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(parsingStrictly: request.body, maxDepth: maxDepth)
        } catch {
            throw Refusal(400, "the body is not JSON: \(error)")
        }
    }
}

extension JobsAPIRequest.Refusal {
    static let notFound = Self(404, "not found; see /api/jobs")
}

extension JobQuery {
    /// Parses the query parameters `state` (names separated by commas), `queue`, `name`, `tag`,
    /// `batch`, `text`, `error`, `limit` and `before`. A parameter with an empty value is ignored.
    init(_ query: HTTPQuery) throws(JobsAPIRequest.Refusal) {
        func text(_ name: String) -> String? {
            query[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        self.init(
            queue: text("queue"), name: text("name"), tag: text("tag"), text: text("text"))
        states = try Self.states(query["state"])
        if let group = text("error") {
            guard let number = Int64(group) else {
                throw .init(400, "error must be the number of a group of errors")
            }
            errorGroup = number
        }
        if let text = text("limit") {
            guard let number = Int(text), (1...1_000).contains(number) else {
                throw .init(400, "limit must be a number from 1 to 1000")
            }
            limit = number
        }
        if let text = text("batch") {
            guard let id = JobBatchID(text) else {
                throw .init(400, "batch must be the ID of a batch")
            }
            batch = id
        }
        if let text = text("before") {
            guard let id = JobID(text) else {
                throw .init(400, "before must be the ID of a job")
            }
            before = id
        }
    }

    /// Parses the names of states, separated by commas.
    static func states(_ text: String?) throws(JobsAPIRequest.Refusal) -> Set<JobState> {
        var states: Set<JobState> = []
        for name in (text ?? "").split(separator: ",") {
            guard let state = JobState(String(name)) else {
                let names = JobState.allCases.map(\.description).joined(separator: ", ")
                throw .init(400, "unknown state '\(name)': expected one of \(names)")
            }
            states.insert(state)
        }
        return states
    }
}
