import HTTP
import TallyJSON

/// Requests that read and change messages of a queue at one nsqd. Only tally's nsqd supports these
/// requests.
extension AdminAPI {
    /// The reason why an nsqd does not show or change messages.
    package struct MessagesFailure: Error, Equatable, Sendable {
        /// The status of the response to the browser.
        package let status: Int
        /// The text for people.
        package let text: String
    }

    /// A change of messages.
    package enum MessageChange: String, Sendable {
        case delete, requeue, `defer`, move, cancel
        /// Changes of failed messages.
        case retry, discard

        /// The change as a verb, for the log of actions.
        var verb: String {
            switch self {
            case .delete, .requeue, .defer, .move, .cancel: rawValue
            case .retry, .discard: "\(rawValue) failed"
            }
        }
    }

    /// Reads messages, or the bulk operations.
    ///
    /// - Parameters:
    ///   - node: the HTTP address of the nsqd.
    ///   - path: the path of the request to the nsqd.
    /// - Returns: the JSON of the response.
    package func readMessages(
        at node: String, _ path: String, _ arguments: [(name: String, value: String)]
    ) async throws(MessagesFailure) -> [UInt8] {
        try await messages(at: node, path, arguments, isChange: false)
    }

    /// Changes messages, and logs the change.
    ///
    /// - Parameters:
    ///   - change: the change.
    ///   - place: the topic and the channel of the messages.
    ///   - id: the ID of the message; `nil` for all messages that the arguments select.
    ///   - node: the HTTP address of the nsqd.
    ///   - path: the path of the request to the nsqd.
    ///   - arguments: the query of the request to the nsqd.
    ///   - isLogged: `false` if the messages are only counted, or if the request continues a logged one.
    ///   - request: the request of the browser.
    package func changeMessages(
        _ change: MessageChange, of place: (topic: String, channel: String), id: String?,
        at node: String, _ path: String, _ arguments: [(name: String, value: String)],
        isLogged: Bool, for request: HTTPRequest
    ) async throws(MessagesFailure) -> [UInt8] {
        let logged = ClusterChange.messages(
            change.verb, topic: place.topic, channel: place.channel, id: id, node: node)
        do throws(MessagesFailure) {
            let json = try await messages(at: node, path, arguments, isChange: true)
            if isLogged { didChange(logged, request) }
            return json
        } catch {
            if isLogged { record(logged, request, failure: error.text) }
            throw error
        }
    }

    private func messages(
        at node: String, _ path: String, _ arguments: [(name: String, value: String)],
        isChange: Bool
    ) async throws(MessagesFailure) -> [UInt8] {
        let response: HTTPClientResponse
        do throws(UpstreamError) {
            response = try await client.response(
                of: node, path, arguments, body: isChange ? [] : nil)
        } catch {
            throw MessagesFailure(status: 502, text: "\(error)")
        }
        guard response.status != 200 else {
            return response.body.isEmpty ? Array("{}".utf8) : response.body
        }
        let json = try? JSONValue(parsingLikeGo: response.body, keptDepth: 1)
        let code = json?["message"].flatMap { String(json: $0) } ?? ""
        throw MessagesFailure(
            status: response.status == 404 ? 404 : response.status < 500 ? 400 : 502,
            text: "\(node): "
                + HTTPFailure.text(
                    of: code, status: response.status,
                    arguments: Dictionary(arguments) { first, _ in first }))
    }
}
