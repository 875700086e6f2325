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
    ///   - place: the topic and the channel of the messages.
    ///   - id: the ID of the message; `nil` for all messages that a filter selects.
    ///   - isLogged: `false` if the messages are only counted.
    package func changeMessages(
        _ change: MessageChange, of place: (topic: String, channel: String), id: String?,
        at node: String, _ path: String, _ arguments: [(name: String, value: String)],
        isLogged: Bool, for request: HTTPRequest
    ) async throws(MessagesFailure) -> [UInt8] {
        let logged = ClusterChange.messages(
            change.rawValue, topic: place.topic, channel: place.channel, id: id, node: node)
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
            text: Self.text(of: code, response.status, node))
    }

    /// Returns a text that explains an nsqd's error code to people.
    private static func text(of code: String, _ status: Int, _ node: String) -> String {
        switch code {
        case "NOT_FOUND", "METHOD_NOT_ALLOWED":
            "\(node) cannot show or change messages of a queue: only tally's nsqd can, and this is another one."
        case "TOPIC_NOT_FOUND", "CHANNEL_NOT_FOUND": "\(node) does not have the topic and channel."
        case "MESSAGE_NOT_FOUND": "The message is no longer in the channel."
        case "ATTEMPTS_DIFFER": "The message was delivered in the meantime."
        case "SAME_TOPIC": "A message cannot move to its own topic."
        case "INVALID_DEFER": "The delay is longer than the nsqd allows."
        case "INVALID_ARG_TO": "The name of the topic is invalid."
        default: "\(node) responded with status \(status) \(code)"
        }
    }
}
