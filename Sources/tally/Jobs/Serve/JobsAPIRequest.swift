import HTTP
import NSQJobs
import TallyJSON

/// An operation of the HTTP API of background jobs.
enum JobsAPIRequest: Equatable {
    case enqueue([NewJob], isList: Bool)
    case list(JobQuery)
    case statistics
    case names(prefix: String)
    case show(JobID)
    case change(JobID, Change)
    case edit(JobID, JobEdit)
    case setPaused(Bool, queue: String)
    case enqueueBatch([NewJob], then: NewJob?)
    case showBatch(JobBatchID)
    case setLimit(JobLimit, queue: String, isPerKey: Bool)

    /// A change of one job without arguments.
    enum Change: String {
        case retry, cancel, discard
    }

    /// Why a request has no operation.
    struct Refusal: Error, Equatable {
        let status: Int
        let reason: String
        /// The methods of the path, for status 405.
        var allowed: String?

        init(_ status: Int, _ reason: String, allowed: String? = nil) {
            self.status = status
            self.reason = reason
            self.allowed = allowed
        }
    }

    /// Parses a request.
    ///
    /// - Parameter now: the time from which delays count.
    init(_ request: HTTPRequest, at now: JobTime) throws(Refusal) {
        let parts = request.target.path.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count >= 2, parts[0] == "api" else { throw .notFound }
        switch (parts[1], parts.count) {
        case ("jobs", 2): self = try Self.jobs(request, now)
        case ("jobs", 3) where parts[2] == "stats":
            try Self.require("GET", request)
            self = .statistics
        case ("jobs", 3) where parts[2] == "names":
            try Self.require("GET", request)
            let query = HTTPQuery(parsing: request.target.query)
            self = .names(prefix: query?["prefix"] ?? "")
        case ("jobs", 3):
            try Self.require("GET", request)
            self = .show(try Self.id(parts[2]))
        case ("jobs", 4): self = try Self.action(request, String(parts[3]), parts[2], now)
        case ("queues", 4) where ["pause", "resume"].contains(parts[3]):
            try Self.require("POST", request)
            self = .setPaused(parts[3] == "pause", queue: String(parts[2]))
        case ("batches", 2):
            try Self.require("POST", request)
            let (jobs, callback) = try NewJob.batch(json: Self.body(request), at: now)
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
            if case .array(let values) = json {
                var jobs: [NewJob] = []
                for value in values { jobs.append(try NewJob(json: value, at: now)) }
                return .enqueue(jobs, isList: true)
            }
            return .enqueue([try NewJob(json: json, at: now)], isList: false)
        case "GET", "HEAD":
            guard let query = HTTPQuery(parsing: request.target.query) else {
                throw Refusal(400, "malformed query string")
            }
            return .list(try JobQuery(query))
        default: throw Refusal(405, "use GET or POST", allowed: "GET, HEAD, POST")
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

    private static func require(_ method: String, _ request: HTTPRequest) throws(Refusal) {
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
    /// Parses the query parameters `state`, with commas between several, `queue`, `name`, `tag`,
    /// `batch`, `limit` and `before`.
    init(_ query: HTTPQuery) throws(JobsAPIRequest.Refusal) {
        self.init(queue: query["queue"], name: query["name"], tag: query["tag"])
        for name in (query["state"] ?? "").split(separator: ",") {
            guard let state = JobState(String(name)) else {
                let names = JobState.allCases.map(\.description).joined(separator: ", ")
                throw .init(400, "unknown state '\(name)': expected one of \(names)")
            }
            states.insert(state)
        }
        if let text = query["limit"] {
            guard let number = Int(text), (1...1_000).contains(number) else {
                throw .init(400, "limit must be a number from 1 to 1000")
            }
            limit = number
        }
        if let text = query["batch"] {
            guard let id = JobBatchID(text) else {
                throw .init(400, "batch must be the ID of a batch")
            }
            batch = id
        }
        if let text = query["before"] {
            guard let id = JobID(text) else {
                throw .init(400, "before must be the ID of a job")
            }
            before = id
        }
    }
}
