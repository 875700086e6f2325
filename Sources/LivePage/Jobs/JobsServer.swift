import HTTP
import NSQJobs
import UVLoop

/// An HTTP server with the page and the API of background jobs, on a loop of its own.
///
/// A request whose `Host` is not a name of this machine is refused. Otherwise, another website
/// could reach the API through a browser by DNS rebinding.
final class JobsServer: HTTPService, LoopHosted {
    /// The maximum number of connections. Event streams can occupy at most half of them.
    static let maxConnections = 256

    private let names: [String]
    private let routes: JobsRoutes
    private let loop: Loop
    private var hosts = HostNames(.loopback)
    private lazy var http = HTTPServer(serving: self, on: loop)

    /// - Parameter names: host names that the server accepts, besides `localhost` and numeric
    ///   addresses.
    init(_ page: JobsMonitor, names: [String], on loop: Loop) {
        self.names = names
        self.loop = loop
        routes = JobsRoutes(page, isBesideVideos: false, on: loop)
    }

    func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
        http.limit = (Self.maxConnections, .failure(503, "too many connections"))
        http.bodyMemory = JobsRoutes.bodyBudget
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
        if ["/livez", "/readyz", "/healthz"].contains(path) { return respond(.text(200, "ok")) }
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
