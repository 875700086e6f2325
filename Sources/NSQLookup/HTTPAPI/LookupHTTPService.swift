import HTTP
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// The service behind nsqlookupd's HTTP API.
///
/// - SeeAlso: NSQ, “nsqlookupd”, HTTP Interface.
final class LookupHTTPService: HTTPService {
    // The lookup server owns this object and outlives it.
    unowned let server: LookupServer

    init(of server: LookupServer) { self.server = server }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        let names = server.options.httpHosts + [server.options.broadcastAddress]
        if let refusal = request.crossSiteRefusal(names: names) {
            return .refuse(.failure(refusal))
        }
        // No operation uses a body.
        return .skip
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        let start = server.loop.nowNanoseconds
        let match = LookupRoute.router.match(method: request.method, path: request.target.path)
        guard case .route(let route) = match else { return respond(.unrouted(match, request)) }
        let response: HTTPResponse
        do throws(HTTPFailure) { response = try perform(route, request) } catch {
            response = .failure(error)
        }
        let time = GoText.duration(nanoseconds: server.loop.nowNanoseconds - start)
        server.logger.info(
            "\(response.status) \(request.method) \(request.target.text) (\(request.peer)) \(time)")
        guard route.isChange, response.status == 200 else { return respond(response) }
        server.whenStored { respond($0 == nil ? response : .failure(.notStored)) }
    }

    private func perform(
        _ route: LookupRoute, _ request: HTTPRequest
    ) throws(HTTPFailure) -> HTTPResponse {
        switch route {
        case .ping, .health: return .bare(200, "OK")
        case .info: return .json(info)
        case .topics: return .json(topics)
        case .nodes: return .json(nodes)
        case .debug: return .json(debug)
        case .metrics: return metrics
        case .lookup: return .json(try lookup(query(of: request)))
        case .channels: return .json(try channels(query(of: request)))
        case .createTopic: try createTopic(query(of: request))
        case .deleteTopic: try deleteTopic(query(of: request))
        case .tombstone: try tombstone(query(of: request))
        case .createChannel: try createChannel(query(of: request))
        case .deleteChannel: try deleteChannel(query(of: request))
        }
        return .done
    }

    private func query(of request: HTTPRequest) throws(HTTPFailure) -> HTTPQuery {
        guard let query = HTTPQuery(parsing: request.target.query) else { throw .invalidRequest }
        return query
    }

    // MARK: Changes

    private func createTopic(_ query: HTTPQuery) throws(HTTPFailure) {
        let text = try topicText(in: query)
        guard let topic = TopicName(text) else { throw .invalidTopicArgument }
        server.logger.info("DB: adding topic(\(topic))")
        do throws(RegistrationLimitReached) {
            try server.change { table throws(RegistrationLimitReached) in
                try table.createTopic(topic)
            }
        } catch {
            throw .tooManyTopics
        }
    }

    private func deleteTopic(_ query: HTTPQuery) throws(HTTPFailure) {
        let selection = TopicSelection(try topicText(in: query))
        for registration in server.change({ $0.deleteTopics(selection) }) {
            switch registration {
            case .channel(let topic, let channel):
                server.logger.info("DB: removing channel(\(channel)) from topic(\(topic))")
            case .topic(let topic): server.logger.info("DB: removing topic(\(topic))")
            case .client: break
            }
        }
    }

    private func tombstone(_ query: HTTPQuery) throws(HTTPFailure) {
        let text = try topicText(in: query)
        guard let node = query["node"] else { throw .missingNode }
        server.logger.info("DB: setting tombstone for producer@\(node) of topic(\(text))")
        let now = server.loop.timestamp
        server.change { $0.tombstone(TopicSelection(text), node: node, at: now) }
    }

    private func createChannel(_ query: HTTPQuery) throws(HTTPFailure) {
        let (topic, channel) = try channelArguments(in: query)
        server.logger.info("DB: adding channel(\(channel)) in topic(\(topic))")
        server.logger.info("DB: adding topic(\(topic))")
        do throws(RegistrationLimitReached) {
            try server.change { table throws(RegistrationLimitReached) in
                try table.createChannel(channel, of: topic)
            }
        } catch {
            throw .tooManyChannels
        }
    }

    private func deleteChannel(_ query: HTTPQuery) throws(HTTPFailure) {
        let (topic, channel) = try channelArguments(in: query)
        guard server.change({ $0.deleteChannel(channel, of: topic) }) else {
            throw .channelNotFound
        }
        server.logger.info("DB: removing channel(\(channel)) from topic(\(topic))")
    }

    // MARK: Arguments

    func topicText(in query: HTTPQuery) throws(HTTPFailure) -> String {
        guard let text = query["topic"] else { throw .missingTopic }
        return text
    }

    private func channelArguments(
        in query: HTTPQuery
    ) throws(HTTPFailure) -> (TopicName, ChannelName) {
        guard let topic = TopicName(try topicText(in: query)) else { throw .invalidTopicArgument }
        guard let text = query["channel"] else { throw .missingChannel }
        guard let channel = ChannelName(text) else { throw .invalidChannelArgument }
        return (topic, channel)
    }
}
