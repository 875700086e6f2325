import HTTP
import NSQJobs
import TallyJSON
import UVLoop

/// The HTTP API of background jobs, on a loop of its own.
///
/// Browsers reach it only for pages of the same origin: a request under a foreign host name is refused,
/// and so is a change that another site's page requests.
final class JobsAPI: HTTPService {
    /// The maximum size of a request's body in bytes.
    static let maxBodyBytes = 4 << 20
    /// The maximum number of connections.
    static let maxConnections = 64

    private let jobs: Jobs
    private let loop: Loop
    private let names: [String]
    private var hosts = HostNames(.loopback)
    private lazy var http = HTTPServer(serving: self, on: loop)

    /// - Parameter names: host names under which the API answers, besides `localhost` and numeric
    ///   addresses.
    init(_ jobs: Jobs, names: [String], on loop: Loop) {
        self.jobs = jobs
        self.names = names
        self.loop = loop
    }

    /// Starts a thread with the API.
    ///
    /// - Returns: the API, and the bound address with the port that the kernel assigned.
    /// - Throws: `UVError` if the address cannot be bound.
    static func start(
        _ jobs: Jobs, at address: SocketAddress, names: [String]
    ) async throws -> (host: LoopHost<JobsAPI>, address: SocketAddress) {
        let (host, bound) = try await LoopHost.start(threadName: "jobs api") { loop in
            let api = JobsAPI(jobs, names: names, on: loop)
            return (api, try api.listen(at: address))
        }
        return (host, bound)
    }

    private func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
        http.limit = (Self.maxConnections, .failure(503, "too many connections"))
        let bound = try http.listen(at: address)
        let isLoopback = HostNames.isLoopback(address: bound.host)
        hosts = HostNames(isLoopback ? .loopback : .numeric, and: names)
        return bound
    }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard let host = request.headers["Host"], hosts.accepts(host) else {
            return .refuse(
                .failure(
                    421,
                    "the API is not served under the name in the request; start tally with "
                        + "--api-host=NAME to add a name"))
        }
        guard !request.isChange || !request.isFromForeignPage else {
            return .refuse(.failure(403, "a page of another site must not change jobs"))
        }
        return .collect(
            limit: Self.maxBodyBytes,
            tooLarge: .failure(413, "the body has more than \(Self.maxBodyBytes) bytes"))
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        if request.target.path == "/healthz" { return respond(.bare(200, "ok\n")) }
        do throws(JobsAPIRequest.Refusal) {
            let operation = try JobsAPIRequest(request, at: .now)
            let waiting = LoopBound(WaitingResponse(respond: respond), on: loop)
            let (jobs, mailbox) = (jobs, loop.mailbox)
            Task {
                let response = await operation.response(from: jobs)
                mailbox.submit { waiting.removeValue(on: $0)?.respond(response) }
            }
        } catch {
            var response = HTTPResponse.failure(error.status, error.reason)
            if let allowed = error.allowed { response.headers.append(("Allow", allowed)) }
            respond(response)
        }
    }
}

extension JobsAPI: LoopHosted {
    /// Responds to the requests in progress, and closes the connections.
    func stop(_ done: @escaping () -> Void) { http.stop(done) }
}

private final class WaitingResponse {
    let respond: (HTTPResponse) -> Void

    init(respond: @escaping (HTTPResponse) -> Void) {
        self.respond = respond
    }
}

extension JobsAPIRequest {
    /// Performs the operation.
    func response(from jobs: Jobs) async -> HTTPResponse {
        do throws(JobsError) {
            return try await result(from: jobs)
        } catch {
            let status =
                switch error.code {
                case .unknownJob, .unknownQueue, .unknownBatch: 404
                case .invalidTransition, .batchEnded: 409
                case .invalidArguments, .invalidName, .invalidOption: 400
                default: 503
                }
            return .failure(status, error.reason)
        }
    }

    private func result(from jobs: Jobs) async throws(JobsError) -> HTTPResponse {
        switch self {
        case .enqueue(let new, let isList):
            let receipts = try await jobs.enqueue(contentsOf: new)
            let status = receipts.contains { $0.kind == .new } ? 201 : 200
            return .json(JobJSON.receipts(receipts, isList: isList), status: status)
        case .list(let query): return .json(JobJSON.page(try await jobs.jobs(matching: query)))
        case .statistics:
            return .json(JobJSON.statistics(try await jobs.counts(), try await jobs.workers()))
        case .names(let prefix):
            let names = try await jobs.names(withPrefix: prefix)
            return .json(JSONWriter.object { $0.member("names", names) })
        case .show(let id):
            guard let job = try await jobs.status(of: id) else { throw .unknownJob(id) }
            return .json(
                JobJSON.job(
                    job, attempts: try await jobs.attempts(of: id),
                    dependencies: try await jobs.dependencies(of: id),
                    steps: try await jobs.steps(of: id)))
        case .change(let id, let change):
            let job =
                switch change {
                case .retry: try await jobs.retry(id)
                case .cancel: try await jobs.cancel(id)
                case .discard: try await jobs.discard(id)
                }
            return .json(JobJSON.job(job))
        case .edit(let id, let edit): return .json(JobJSON.job(try await jobs.edit(id, edit)))
        case .enqueueBatch(let new, let callback):
            let (id, receipts) = try await jobs.enqueueBatch(new, then: callback)
            return .json(JobJSON.batch(id, receipts), status: 201)
        case .showBatch(let id):
            guard let batch = try await jobs.batch(id) else {
                throw JobsError(.unknownBatch, "unknown batch '\(id)'")
            }
            return .json(JobJSON.batch(batch))
        case .setLimit(let limit, let queue, let isPerKey):
            try await jobs.setLimit(limit, of: queue, perKey: isPerKey)
            return .json(JobJSON.limit(limit, queue: queue, isPerKey: isPerKey))
        case .setPaused(let isPaused, let queue):
            if isPaused { try await jobs.pause(queue) } else { try await jobs.resume(queue) }
            return .json(
                JSONWriter.object {
                    $0.member("queue", queue)
                    $0.member("paused", isPaused)
                })
        }
    }
}

extension JobJSON {
    fileprivate static func receipts(_ receipts: [EnqueueReceipt], isList: Bool) -> [UInt8] {
        guard isList else { return receipt(receipts[0]) }
        return list(receipts)
    }

    private static func list(_ receipts: [EnqueueReceipt]) -> [UInt8] {
        var bytes = [UInt8(ascii: "[")]
        for (index, one) in receipts.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += receipt(one)
        }
        return bytes + [UInt8(ascii: "]")]
    }

    fileprivate static func batch(_ id: JobBatchID, _ receipts: [EnqueueReceipt]) -> [UInt8] {
        Array(#"{"id":\#(id),"jobs":"#.utf8) + list(receipts) + [UInt8(ascii: "}")]
    }
}

extension HTTPResponse {
    fileprivate static func json(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status,
            headers: [
                ("Content-Type", "application/json"), ("Cache-Control", "no-store"),
                ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
                ("X-Content-Type-Options", "nosniff"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Referrer-Policy", "no-referrer"),
            ], body: body)
    }

    fileprivate static func failure(_ status: Int, _ message: String) -> HTTPResponse {
        json(JSONWriter.object { $0.member("error", message) }, status: status)
    }
}
