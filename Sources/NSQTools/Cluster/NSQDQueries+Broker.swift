import HTTP
import TallyJSON

/// Requests that only the broker of this package supports.
extension NSQDQueries {
    /// Sends a request, and returns the JSON of its response.
    ///
    /// - Parameter isChange: `true` sends a `POST`.
    /// - Throws: `Failure` with a text for people.
    package func askBroker(
        _ nsqd: String, _ path: String, _ arguments: [String: String], isChange: Bool = false
    ) async throws(Failure) -> JSONValue {
        try await brokerResponse(nsqd, path, arguments, isChange: isChange).json
    }

    /// Sends a request, and returns its response and the JSON in it.
    func brokerResponse(
        _ nsqd: String, _ path: String, _ arguments: [String: String], isChange: Bool = false
    ) async throws(Failure) -> (body: [UInt8], json: JSONValue) {
        let (_, response) = try await response(
            of: nsqd, path, arguments, body: isChange ? [] : nil)
        let json = try? JSONValue(parsingLikeGo: response.body, keptDepth: 6)
        guard response.status == 200 else {
            let code = json?["message"].flatMap { String(json: $0) } ?? ""
            throw Failure(
                description: "\(nsqd): \(Self.text(of: code, response.status, arguments))")
        }
        return (response.body, json ?? .object([]))
    }

    /// Returns a text that explains an error code to people.
    private static func text(
        of code: String, _ status: Int, _ arguments: [String: String]
    ) -> String {
        switch code {
        case "NOT_FOUND", "METHOD_NOT_ALLOWED":
            "this server does not know the request; only tally's nsqd can do this"
        case "TOPIC_NOT_FOUND": "unknown topic '\(arguments["topic"] ?? "")'"
        case "CHANNEL_NOT_FOUND": "the topic has no channel '\(arguments["channel"] ?? "")'"
        case "CHANNEL_UNAVAILABLE":
            "the topic has no channel '\(arguments["channel"] ?? "")' that can receive messages now"
        case "MESSAGE_NOT_FOUND": "the channel has no such message: it is finished or was moved"
        case "ATTEMPTS_DIFFER":
            "the message was delivered in the meantime: look at it again, or pass its attempts"
        case "SAME_TOPIC": "a message cannot move to its own topic"
        case "DESTINATION_FULL": "the destination accepts no more messages now"
        case "MEMORY_FULL": "the broker has no memory for more messages (--max-memory-bytes)"
        case "OPERATION_NOT_FOUND": "unknown operation '\(arguments["operation"] ?? "")'"
        case "TOO_MANY_OPERATIONS": "too many of these requests run at the same time: try again"
        case "INVALID_DEFER": "the delay is longer than the nsqd allows (--max-req-timeout)"
        case "INVALID_ADDRESS":
            "invalid address '\(arguments["to"] ?? "")' (pass HOST:PORT or a URL)"
        case "": "status \(status)"
        default: "status \(status): \(code)"
        }
    }
}
