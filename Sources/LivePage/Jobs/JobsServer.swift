import HTTP
import NSQJobs
import UVLoop

/// A server with the page and the API of background jobs, on a loop of its own.
///
/// Browsers reach it only under the names of this machine: a request under a foreign host name is
/// refused.
final class JobsServer: HTTPService, LoopHosted {
    /// The maximum number of connections. Browsers that show the page can have half of them.
    static let maxConnections = 256

    private let names: [String]
    private let routes: JobsRoutes
    private let loop: Loop
    private var hosts = HostNames(.loopback)
    private lazy var http = HTTPServer(serving: self, on: loop)

    /// - Parameter names: host names under which the server answers, besides `localhost` and numeric
    ///   addresses.
    init(_ page: JobsPage, names: [String], on loop: Loop) {
        self.names = names
        self.loop = loop
        routes = JobsRoutes(page, isBesideVideos: false, on: loop)
    }

    func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
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
        return routes.bodyPlan(for: request)
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        let path = request.target.path
        if path == "/healthz" { return respond(.text(200, "ok")) }
        if path == "/" {
            return respond(.page(307, "text/plain; charset=utf-8", [], [("Location", "/jobs")]))
        }
        if let file = PageFiles.response(for: path) { return respond(file) }
        routes.respond(to: request, respond)
    }

    /// Responds to the requests in progress, and closes the connections.
    func stop(_ done: @escaping () -> Void) {
        routes.stop()
        http.stop(done)
    }
}
