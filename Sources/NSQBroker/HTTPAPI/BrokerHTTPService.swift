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
    /// The number of pages of messages that are being read.
    var pageReaderCount = 0

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
        case .route(.handOver):
            return .collect(limit: options.maxBodyBytes, tooLarge: .failure(.bodyTooBig))
        case .route(.putOption):
            return .collect(limit: options.maxMessageBytes, tooLarge: .failure(.valueTooBig))
        default: return .skip
        }
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        let start = server.loop.nowNanoseconds
        let match = BrokerRoute.router.match(method: request.method, path: request.target.path)
        if case .route(let route) = match, route.respondsLater {
            return respondLater(to: request, route) { [self] response in
                respond(response)
                log(request, response, since: start)
            }
        }
        let response = response(to: request, match)
        if case .route(let route) = match, route.changesStoredState, response.status == 200 {
            let completion: (MessageLogError?) -> Void = {
                respond($0 == nil ? response : .failure(.notStored))
            }
            if route == .handOver || route == .failed(.retry) {
                let query = HTTPQuery(parsing: request.target.query)
                whenDispatched(query?["topic"].flatMap { TopicName($0) }, completion)
            } else {
                broker.whenDurable(completion)
            }
        } else {
            respond(response)
        }
        // As in nsqd, requests that publish are not logged, because there can be thousands per
        // second.
        if ![.route(.publish), .route(.multiPublish), .route(.handOver)].contains(match) {
            log(request, response, since: start)
        }
    }

    private func log(_ request: HTTPRequest, _ response: HTTPResponse, since start: Int64) {
        let time = GoText.duration(nanoseconds: server.loop.nowNanoseconds - start)
        server.logger.info(
            "\(response.status) \(request.method) \(request.target.text) (\(request.peer)) \(time)")
    }

    private func respondLater(
        to request: HTTPRequest, _ route: BrokerRoute, _ respond: @escaping (HTTPResponse) -> Void
    ) {
        do throws(HTTPFailure) {
            let query = try query(of: request)
            switch route {
            case .messages(let hasChannel):
                let query = MessageQuery(query, hasChannel: hasChannel)
                try respondWithMessages(of: query, respond)
            case .changeMessage(let change):
                try self.change(change, MessageQuery(query, hasChannel: true), respond)
            default: preconditionFailure("the other routes respond at once")
            }
        } catch {
            respond(.failure(error))
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
        case .liveness: return .bare(200, "OK")
        case .readiness:
            if let refusal = broker.publishRefusal { return .bare(503, "\(refusal)") }
            return server.failure.map { .bare(503, "\($0)") } ?? .bare(200, "OK")
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
        case .setLifetime:
            try setLifetime(request)
            return .done
        case .setMaxAttempts:
            try setMaxAttempts(request)
            return .done
        case .failed(let action): return .nsqJSON(try perform(action, request))
        case .lifetimes: return .nsqJSON(try lifetimes(request))
        case .handOver: try receiveHandOver(request)
        case .drain(let action): return try perform(action, request)
        case .getOption(let name): return try option(name)
        case .putOption(let name): return try setOption(name, request.body)
        case .changeMessages(let change):
            let query = MessageQuery(try query(of: request), hasChannel: true)
            return try startBulkChange(change, query)
        case .messageOperations: return bulkOperations
        case .cancelMessageOperation:
            return try cancelBulkOperation(
                MessageQuery(try query(of: request), hasChannel: true))
        case .messages, .changeMessage: preconditionFailure("these routes respond later")
        }
        return .ok
    }

    /// Parses the query of a request, and throws if it is malformed.
    func query(of request: HTTPRequest) throws(HTTPFailure) -> HTTPQuery {
        guard let query = HTTPQuery(parsing: request.target.query) else { throw .invalidRequest }
        return query
    }
}
