import NSQWire

/// A copy of an unfinished message, with its state in a channel or topic.
package struct UnfinishedMessage: Sendable, Equatable {
    /// The state of the message in its queue.
    package enum State: Sendable, Equatable {
        /// The message can be delivered now.
        case ready
        /// The message is in flight to a client, and times out after `timeLeft`.
        case inFlight(MessageHolder, timeLeft: Duration)
        /// The message is deferred for `timeLeft`, until `due` in nanoseconds since 1970.
        case deferred(timeLeft: Duration, due: Int64)
    }

    package var id: MessageID
    /// The time of the publish, in nanoseconds since 1970.
    package var publishedAt: Int64
    /// The number of deliveries so far, including the present one.
    package var attempts: UInt16
    package var state: State
    /// The size of the whole body, in bytes.
    package var bodyBytes: Int
    /// The start of the body.
    package var body: [UInt8]

    /// `true` if ``body`` is not the whole body.
    package var isCut: Bool { body.count < bodyBytes }
}

/// The client to which a message is in flight.
package struct MessageHolder: Sendable, Equatable {
    package var clientID: String
    package var hostname: String
    package var userAgent: String
    /// The client's address with its port.
    package var address: String

    init(_ session: Session) {
        clientID = session.settings.clientID
        hostname = session.settings.hostname
        userAgent = session.settings.userAgent
        address = session.address
    }
}

/// Some messages of a queue in the order of their IDs, and the position after them.
package struct MessagePage: Sendable, Equatable {
    package var messages: [UnfinishedMessage] = []
    /// The last ID that was examined. The next page begins after it. `nil` at the end of the queue.
    package var last: MessageID?

    /// Creates an empty page.
    ///
    /// - Parameter last: the ID after which the page begins; `nil` for the start of the queue.
    package init(after last: MessageID? = nil) { self.last = last }
}

/// The reason why messages cannot be read or changed.
package enum InspectionError: Error, Equatable, Sendable {
    case topicNotFound
    case channelNotFound
    /// The queue does not contain the message: the message is finished, or does not exist.
    case messageNotFound
    /// The channel has delivered the message in the meantime. The value is the number of deliveries.
    case attemptsDiffer(UInt16)
    /// A message cannot move to its own topic.
    case sameTopic
    /// There are as many topics as ``BrokerOptions/maxTopics`` allows.
    case tooManyTopics
    case memoryIsFull
    /// The ephemeral topic would discard the message, because its queue is full.
    case destinationIsFull
    case stopping
    /// The message log cannot be read now.
    case unreadable(MessageLogError)
    /// The change could not be written to the message log.
    case notStored(MessageLogError)
    /// There are too many bulk operations that have not ended.
    case tooManyOperations
    case operationNotFound
}
