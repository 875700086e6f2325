import HTTP
import PlayCounts
import UVLoop

/// The HTTP routes of the videos page and of its read-only API. Requests for jobs and topics are
/// passed to ``JobsRoutes`` and ``TopicsRoutes``.
final class PageRoutes: HTTPService {
    // The server owns this object, so the reference is always valid.
    private unowned let server: PageServer
    private var hosts = HostNames(.loopback)

    init(of server: PageServer) { self.server = server }

    func setAddress(_ address: SocketAddress) {
        let isLoopback = HostNames.isLoopback(address: address.host)
        hosts = HostNames(isLoopback ? .loopback : .numeric, and: server.settings.hosts)
    }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard let host = request.headers["Host"], hosts.accepts(host) else {
            return .refuse(
                .text(
                    421,
                    "this page is not served under the name in the request; start tally with "
                        + "--page-host=NAME to add a name"))
        }
        if let jobs = server.jobs, JobsRoutes.includes(request.target.path) {
            return jobs.bodyPlan(for: request)
        }
        if let topics = server.topics, TopicsRoutes.includes(request.target.path) {
            return topics.bodyPlan(for: request, path: request.target.path)
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return .refuse(
                .text(405, "this page is read-only: use GET or HEAD", [("Allow", "GET, HEAD")]))
        }
        guard request.target.path == "/events" else { return .skip }
        return server.events.bodyPlan(for: request)
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        if let jobs = server.jobs, JobsRoutes.includes(request.target.path) {
            return jobs.respond(to: request, respond)
        }
        if let topics = server.topics, TopicsRoutes.includes(request.target.path) {
            return topics.respond(
                to: request, path: request.target.path, of: self, respond)
        }
        switch request.target.path {
        case "/metrics": server.respondWithMetrics(respond)
        case "/livez": respond(.text(200, "ok", [("Cache-Control", "no-store")]))
        case "/readyz", "/healthz": server.respondWithHealth(respond)
        default: respond(response(to: request))
        }
    }

    private func response(to request: HTTPRequest) -> HTTPResponse {
        switch request.target.path {
        case "/": .page(307, "text/plain; charset=utf-8", [], [("Location", "/videos")])
        case "/videos": .file("text/html; charset=utf-8", PackageResources.videos_html)
        case "/api/videos": videos(request)
        case let path where path.hasPrefix("/api/videos/"):
            video(String(path.dropFirst("/api/videos/".count)))
        default:
            PageFiles.response(for: request.target.path)
                ?? .failure(404, "not found; see /videos")
        }
    }

    private func videos(_ request: HTTPRequest) -> HTTPResponse {
        guard let query = HTTPQuery(parsing: request.target.query) else {
            return .failure(400, "malformed query string")
        }
        do throws(BadArgument) {
            let (rows, matching) = server.table.rows(try VideoTable.Query(query))
            return .json(PageJSON.rows(rows, matching: matching, of: server.table.videos))
        } catch {
            return .failure(400, error.description)
        }
    }

    private func video(_ text: String) -> HTTPResponse {
        guard let videoID = VideoID(text) else {
            return .failure(
                400,
                "invalid video_id: expected a GUID such as 1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70")
        }
        guard let row = server.table[videoID] else {
            return .failure(404, "unknown video: no count was published for it")
        }
        return .json(PageJSON.row(row))
    }
}
