import HTTP
import Logging
import NSQAdmin
import UVLoop

/// The HTTP server of `tally nsqadmin`, on a loop of its own: the pages of topics and nodes, and
/// nsqadmin's API.
final class AdminServer: HTTPService, LoopHosted {
    private let api: AdminAPI
    private let options: AdminOptions
    private let loop: Loop
    private lazy var http = HTTPServer(serving: self, on: loop)
    private var endpoint: Endpoint?
    private let routes: TopicsRoutes

    /// The maximum total size of the request bodies that the server has received but not yet
    /// processed, in bytes.
    private static let maxBytesOfBodies = 16 * AdminAPI.maxBodyBytes

    init(_ page: TopicsPage, on loop: Loop) {
        api = page.api
        self.loop = loop
        options = page.api.options
        routes = TopicsRoutes(page, beside: TopicsRoutes.OtherPages(), on: loop)
    }

    /// Starts to listen.
    ///
    /// - Returns: the bound address.
    func listen() throws(AdminStartError) -> String {
        let text = options.httpAddress
        let address: SocketAddress
        do throws(MalformedAddress) {
            address = try SocketAddress(parsing: text)
        } catch {
            throw AdminStartError("listen (\(text)) failed - \(error)")
        }
        do throws(UVError) {
            let bound = try http.listen(at: .tcp(address))
            endpoint = bound
        } catch {
            // nsqadmin writes `bind:` only for an error of the bind, not for an error of the name
            // resolution before it.
            let cause = error.name.hasPrefix("EAI_") ? error.message : "bind: \(error.message)"
            throw AdminStartError("listen (\(text)) failed - \(cause)")
        }
        http.bodyMemory = HTTPBodyBudget(
            maxBytes: Self.maxBytesOfBodies, refusal: .nsqFailure(503, "TOO_MANY_BODIES"))
        http.limit = (options.connectionLimit, .failure(.tooManyConnections))
        let bound = "\(endpoint!)"
        api.logger.info("HTTP: listening on \(bound)")
        return bound
    }

    // MARK: Requests

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        if let refusal = request.crossSiteRefusal(names: options.httpHosts) {
            return .refuse(.failure(refusal))
        }
        return routes.bodyPlan(for: request, path: path(of: request))
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        routes.respond(to: request, path: path(of: request), of: self, respond)
    }

    /// The path of a request without the base path; `nil` if the path does not start with the base
    /// path.
    private func path(of request: HTTPRequest) -> String? {
        let path = request.target.path
        let prefix = api.pathPrefix
        guard path.utf8.starts(with: prefix.utf8) else { return nil }
        let rest = String(Substring(path.utf8.dropFirst(prefix.utf8.count)))
        if rest.isEmpty { return "/" }
        return rest.hasPrefix("/") ? rest : nil
    }

    // MARK: Stopping

    /// Responds to the requests in progress, and closes the connections.
    func stop(_ done: @escaping () -> Void) {
        routes.stop()
        if let endpoint { api.logger.info("HTTP: closing \(endpoint)") }
        http.stop(done)
    }
}
