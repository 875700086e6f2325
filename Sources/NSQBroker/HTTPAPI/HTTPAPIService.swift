import BrokerCore
import HTTP
import Logging
import NSQWire
import UVLoop

/// The service behind nsqd's HTTP API: parses requests, calls the broker, and builds responses.
///
/// - SeeAlso: NSQ, “nsqd”, HTTP API.
final class HTTPAPIService: HTTPService {
    // The broker server owns this object and outlives it.
    unowned let server: BrokerServer

    init(of server: BrokerServer) { self.server = server }

    var broker: Broker { server.broker }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard request.isEncrypted || server.options.tls.requirement != .everywhere else {
            return .refuse(.tlsRequired(httpsPort: server.http.tlsAddress?.port ?? 0))
        }
        if let refusal = crossSiteRefusal(of: request) { return .refuse(.failure(refusal)) }
        let options = broker.options
        switch HTTPRoute.match(method: request.method, path: request.target.path) {
        case .route(.publish):
            return .collect(
                limit: options.maxMessageBytes, tooLarge: .failure(.messageTooBig))
        case .route(.multiPublish): return multiPublishPlan(for: request)
        case .route(.putOption):
            return .collect(limit: options.maxMessageBytes, tooLarge: .failure(.valueTooBig))
        default: return .skip
        }
    }

    /// Returns the error for a request that a browser may have sent for a page of another site: a
    /// change from another origin, or, on a loopback address, a request whose `Host` is neither a
    /// loopback name nor a name of this broker.
    private func crossSiteRefusal(of request: HTTPRequest) -> HTTPFailure? {
        if request.isChange, request.isFromForeignPage { return .foreignOrigin }
        // Browsers always send a `Host` that is not empty.
        guard request.isOnLoopback, let host = request.headers["Host"], !host.isEmpty else {
            return nil
        }
        let addresses = server.options.addresses
        let names = HostNames(.loopback, and: addresses.httpHosts + [addresses.broadcast])
        return names.accepts(host) ? nil : .unknownHost
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        let start = server.loop.nowNanoseconds
        let match = HTTPRoute.match(method: request.method, path: request.target.path)
        let response = response(to: request, match)
        if case .route(let route) = match, route.changesStoredState, response.status == 200 {
            broker.whenDurable { respond($0 == nil ? response : .failure(.notStored)) }
        } else {
            respond(response)
        }
        // As in nsqd, requests that publish are not logged, because there can be thousands per
        // second.
        if match != .route(.publish), match != .route(.multiPublish) {
            let time = GoText.duration(nanoseconds: server.loop.nowNanoseconds - start)
            server.logger.info(
                "\(response.status) \(request.method) \(request.target.text) (\(request.peer)) \(time)"
            )
        }
    }

    private func response(to request: HTTPRequest, _ match: HTTPRoute.Match) -> HTTPResponse {
        switch match {
        case .route(let route):
            do throws(HTTPFailure) {
                return try perform(route, request)
            } catch {
                return .failure(error)
            }
        case .redirect(let path): return .redirect(to: path, for: request)
        case .allowed(let methods): return .allowed(methods)
        case .notAllowed(let methods): return .notAllowed(methods)
        case .notFound: return .failure(.notFound)
        }
    }

    private func perform(
        _ route: HTTPRoute, _ request: HTTPRequest
    ) throws(HTTPFailure) -> HTTPResponse {
        switch route {
        case .ping: return server.failure.map { .bare(500, "NOK - \($0)") } ?? .bare(200, "OK")
        case .health:
            return broker.isStopping ? .bare(503, "stopping") : .bare(200, "OK")
        case .info: return .json(info)
        case .stats: return try statistics(request)
        case .metrics: return metrics
        case .publish: try publish(request)
        case .multiPublish: try multiPublish(request)
        case .topic(let action):
            try perform(action, topicIn: query(of: request))
            return .done
        case .channel(let action):
            try perform(action, channelIn: query(of: request))
            return .done
        case .getOption(let name): return try option(name)
        case .putOption(let name): return try setOption(name, request.body)
        }
        return .ok
    }

    /// Parses the query of a request, and throws if it is malformed.
    func query(of request: HTTPRequest) throws(HTTPFailure) -> HTTPQuery {
        guard let query = HTTPQuery(parsing: request.target.query) else { throw .invalidRequest }
        return query
    }
}
