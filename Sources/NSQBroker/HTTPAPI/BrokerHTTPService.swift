import BrokerCore
import HTTP
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// The service behind nsqd's HTTP API: parses requests, calls the broker, and builds responses.
///
/// - SeeAlso: NSQ, “nsqd”, HTTP API.
final class BrokerHTTPService: HTTPService {
    // The broker server owns this object and outlives it.
    unowned let server: BrokerServer

    init(of server: BrokerServer) { self.server = server }

    var broker: Broker { server.broker }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard request.isEncrypted || server.options.tls.requirement != .everywhere else {
            return .refuse(.tlsRequired(httpsPort: server.http.tlsAddress?.port ?? 0))
        }
        let addresses = server.options.addresses
        let names = addresses.httpHosts + [addresses.broadcast]
        if let refusal = request.crossSiteRefusal(names: names) {
            return .refuse(.failure(refusal))
        }
        let options = broker.options
        switch BrokerRoute.router.match(method: request.method, path: request.target.path) {
        case .route(.publish):
            return .collect(
                limit: options.maxMessageBytes, tooLarge: .failure(.messageTooBig))
        case .route(.multiPublish): return multiPublishPlan(for: request)
        case .route(.putOption):
            return .collect(limit: options.maxMessageBytes, tooLarge: .failure(.valueTooBig))
        default: return .skip
        }
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        let start = server.loop.nowNanoseconds
        let match = BrokerRoute.router.match(method: request.method, path: request.target.path)
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

    private func response(to request: HTTPRequest, _ match: HTTPRouter<BrokerRoute>.Match)
        -> HTTPResponse
    {
        guard case .route(let route) = match else { return .unrouted(match, request) }
        do throws(HTTPFailure) {
            return try perform(route, request)
        } catch {
            return .failure(error)
        }
    }

    private func perform(
        _ route: BrokerRoute, _ request: HTTPRequest
    ) throws(HTTPFailure) -> HTTPResponse {
        switch route {
        case .ping: return server.failure.map { .bare(500, "NOK - \($0)") } ?? .bare(200, "OK")
        case .health:
            return broker.isStopping ? .bare(503, "stopping") : .bare(200, "OK")
        case .info: return .nsqJSON(info)
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
