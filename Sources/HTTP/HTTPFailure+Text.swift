extension HTTPFailure {
    /// Returns a text that explains the error code of an nsqd to people.
    ///
    /// - Parameters:
    ///   - code: the error code; empty if the response has none.
    ///   - status: the status of the response.
    ///   - arguments: the arguments of the request. The text contains some of their values.
    package static func text(
        of code: String, status: Int, arguments: [String: String]
    ) -> String {
        switch code {
        case notFound.code, methodNotAllowed.code:
            "this server does not know the request; only tally's nsqd can do this"
        case topicNotFound.code: "unknown topic '\(arguments["topic"] ?? "")'"
        case channelNotFound.code:
            "the topic has no channel '\(arguments["channel"] ?? "")'"
        case channelUnavailable.code:
            "the topic has no channel '\(arguments["channel"] ?? "")' that can receive messages now"
        case messageNotFound.code: "the channel has no such message: it is finished or was moved"
        case attemptsDiffer.code:
            "the message was delivered in the meantime: look at it again, or pass its attempts"
        case sameTopic.code: "a message cannot move to its own topic"
        case destinationIsFull.code: "the destination accepts no more messages now"
        case memoryIsFull.code:
            "the broker has no memory for more messages (--max-memory-bytes)"
        case operationNotFound.code: "unknown operation '\(arguments["operation"] ?? "")'"
        case tooManyOperations.code:
            "too many of these requests run at the same time: try again"
        case invalidDefer.code: "the delay is longer than the nsqd allows (--max-req-timeout)"
        case invalidAddress.code:
            "invalid address '\(arguments["to"] ?? "")' (pass HOST:PORT or a URL)"
        case invalidArgument("to").code: "the name of the topic is invalid"
        case "": "status \(status)"
        default: "status \(status): \(code)"
        }
    }
}
