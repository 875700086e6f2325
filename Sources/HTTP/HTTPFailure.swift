/// The error of a request to one of NSQ's programs: the status, and the error code.
package struct HTTPFailure: Error, Equatable {
    /// The status of the response.
    package let status: Int
    /// The code in the body of the response.
    package let code: String

    private init(_ status: Int, _ code: String) {
        self.status = status
        self.code = code
    }

    package static let invalidRequest = HTTPFailure(400, "INVALID_REQUEST")
    package static let missingTopic = HTTPFailure(400, "MISSING_ARG_TOPIC")
    package static let missingChannel = HTTPFailure(400, "MISSING_ARG_CHANNEL")
    package static let missingNode = HTTPFailure(400, "MISSING_ARG_NODE")
    package static let invalidTopic = HTTPFailure(400, "INVALID_TOPIC")
    /// An invalid topic in a request that also has a channel.
    package static let invalidTopicArgument = HTTPFailure(400, "INVALID_ARG_TOPIC")
    package static let invalidChannelArgument = HTTPFailure(400, "INVALID_ARG_CHANNEL")
    package static let invalidDefer = HTTPFailure(400, "INVALID_DEFER")
    package static let invalidOption = HTTPFailure(400, "INVALID_OPTION")
    package static let invalidValue = HTTPFailure(400, "INVALID_VALUE")
    package static let messageEmpty = HTTPFailure(400, "MSG_EMPTY")
    package static let notFound = HTTPFailure(404, "NOT_FOUND")
    package static let topicNotFound = HTTPFailure(404, "TOPIC_NOT_FOUND")
    package static let channelNotFound = HTTPFailure(404, "CHANNEL_NOT_FOUND")
    package static let methodNotAllowed = HTTPFailure(405, "METHOD_NOT_ALLOWED")
    package static let messageTooBig = HTTPFailure(413, "MSG_TOO_BIG")
    package static let bodyTooBig = HTTPFailure(413, "BODY_TOO_BIG")
    package static let valueTooBig = HTTPFailure(413, "INVALID_VALUE")
    package static let badBody = HTTPFailure(413, "BAD_BODY")
    package static let badMessage = HTTPFailure(413, "BAD_MESSAGE")
    package static let exiting = HTTPFailure(503, "EXITING")
    /// A publish to a broker that is being drained. nsqd has no such state.
    package static let draining = HTTPFailure(503, "DRAINING")
    /// A change that a browser requests for a page of another site. nsqd does not refuse such a
    /// request.
    package static let foreignOrigin = HTTPFailure(403, "FOREIGN_ORIGIN")
    /// A request whose `Host` is neither a loopback name nor one of `--http-host`. nsqd does not
    /// check the `Host` of a request.
    package static let unknownHost = HTTPFailure(421, "UNKNOWN_HOST")
    // The errors of limits that nsqd does not have.
    package static let tooManyTopics = HTTPFailure(503, "TOO_MANY_TOPICS")
    package static let tooManyChannels = HTTPFailure(503, "TOO_MANY_CHANNELS")
    package static let tooManyConnections = HTTPFailure(503, "TOO_MANY_CONNECTIONS")
    /// The limit of the memory for messages is reached. nsqd writes excess messages to disk
    /// instead.
    package static let memoryIsFull = HTTPFailure(503, "MEMORY_FULL")
    // The errors of requests that read or change messages of a queue. nsqd does not have these
    // requests.
    package static let messageNotFound = HTTPFailure(404, "MESSAGE_NOT_FOUND")
    package static let operationNotFound = HTTPFailure(404, "OPERATION_NOT_FOUND")
    /// The message was delivered since the client has seen it.
    package static let attemptsDiffer = HTTPFailure(409, "ATTEMPTS_DIFFER")
    package static let sameTopic = HTTPFailure(400, "SAME_TOPIC")
    package static let destinationIsFull = HTTPFailure(503, "DESTINATION_FULL")
    package static let tooManyOperations = HTTPFailure(503, "TOO_MANY_OPERATIONS")
    /// Messages could not be read from disk.
    package static let unreadable = HTTPFailure(503, "UNREADABLE")

    package static func missingArgument(_ name: String) -> HTTPFailure {
        HTTPFailure(400, "MISSING_ARG_\(name.uppercased())")
    }

    package static func invalidArgument(_ name: String) -> HTTPFailure {
        HTTPFailure(400, "INVALID_ARG_\(name.uppercased())")
    }

    /// A message for single channels of a topic that is paused, or that waits for its channels at
    /// nsqlookupd.
    package static let topicHeld = HTTPFailure(503, "TOPIC_HELD")
    /// A retry of failed messages for a channel that does not exist or whose topic is paused, or by a
    /// broker that accepts no messages.
    package static let channelUnavailable = HTTPFailure(409, "CHANNEL_UNAVAILABLE")
    /// The address of another broker is invalid.
    package static let invalidAddress = HTTPFailure(400, "INVALID_ADDRESS")
    /// The change could not be written to disk. nsqd has no such error.
    package static let notStored = HTTPFailure(503, "NOT_STORED")
}
