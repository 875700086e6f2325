import BrokerCore
import NSQWire
import TallyBasics

extension EmbeddedBroker {
    /// A copy of a message that waits in a queue, is in flight, or is deferred.
    public struct QueuedMessage: Sendable, Equatable {
        /// The state of the message in its queue.
        public enum State: Sendable, Equatable {
            /// The message can be delivered now.
            case ready
            /// The message is in flight to a client, and times out after `timeLeft`.
            case inFlight(Client, timeLeft: Duration)
            /// The message is deferred for `timeLeft`.
            case deferred(timeLeft: Duration)
        }

        /// The client to which a message is in flight.
        public struct Client: Sendable, Equatable {
            /// The ID that the client has chosen.
            public let clientID: String
            /// The name of the client's machine.
            public let hostname: String
            /// The name of the client's library, with its version.
            public let userAgent: String
            /// The address of the client, as `host:port`.
            public let address: String
        }

        /// The ID of the message, 16 hex digits.
        public let id: String
        /// The time of the publish in nanoseconds since 1970.
        public let timestampNanoseconds: Int64
        /// The number of deliveries so far, including the present one.
        public let attempts: UInt16
        /// The state of the message.
        public let state: State
        /// The size of the whole body in bytes.
        public let bodyBytes: Int
        /// The start of the body.
        public let body: [UInt8]

        /// `true` if ``body`` is not the whole body.
        public var isCut: Bool { body.count < bodyBytes }

        init(_ message: UnfinishedMessage) {
            id = message.id.text
            timestampNanoseconds = message.publishedAt
            attempts = message.attempts
            bodyBytes = message.bodyBytes
            body = message.body
            state =
                switch message.state {
                case .ready: .ready
                case .inFlight(let holder, let timeLeft):
                    .inFlight(
                        Client(
                            clientID: holder.clientID, hostname: holder.hostname,
                            userAgent: holder.userAgent, address: holder.address),
                        timeLeft: timeLeft)
                case .deferred(let timeLeft, _): .deferred(timeLeft: timeLeft)
                }
        }
    }

    /// Some messages of a queue, in the order of their IDs.
    public struct MessagePage: Sendable, Equatable {
        /// The messages.
        public let messages: [QueuedMessage]
        /// The position after the page, for the next one; `nil` at the end of the queue.
        public let next: String?
    }
}
