import BrokerCore

extension EmbeddedBroker {
    /// The reason why a topic, a channel or a message cannot be read or changed.
    public struct AdministrationError: Error, Equatable, Sendable, CustomStringConvertible {
        /// The kind of error. Later versions can add codes.
        public struct Code: Hashable, Sendable, CustomStringConvertible {
            private enum Kind: String {
                case invalidName, topicNotFound, channelNotFound, tooMany, stopped
                case invalidValue, messageNotFound, attemptsDiffer, refused, notStored
            }

            private let kind: Kind

            /// The text is not a valid name: 1 to 64 characters of `.a-zA-Z0-9_-`, and an optional
            /// suffix `#ephemeral`.
            public static let invalidName = Self(kind: .invalidName)
            /// There is no topic of this name.
            public static let topicNotFound = Self(kind: .topicNotFound)
            /// The topic has no channel of this name.
            public static let channelNotFound = Self(kind: .channelNotFound)
            /// The broker has as many topics or bulk operations, or the topic as many channels, as its
            /// limit allows.
            public static let tooMany = Self(kind: .tooMany)
            /// A number, a text or a message ID is not in its valid range.
            public static let invalidValue = Self(kind: .invalidValue)
            /// The queue has no unfinished message with this ID.
            public static let messageNotFound = Self(kind: .messageNotFound)
            /// The channel has delivered the message in the meantime.
            public static let attemptsDiffer = Self(kind: .attemptsDiffer)
            /// A message cannot move to its own topic, or the topic does not accept it: the broker is
            /// stopping, its memory is full, or the queue of the ephemeral topic is full.
            public static let refused = Self(kind: .refused)
            /// The message log could not be read or written.
            public static let notStored = Self(kind: .notStored)
            /// The broker has stopped.
            public static let stopped = Self(kind: .stopped)

            /// The name of the code, such as `topicNotFound`.
            public var description: String { kind.rawValue }
        }

        /// The kind of error.
        public let code: Code
        /// The topic that is not valid or not found, or whose channel is not found; otherwise `nil`.
        public let topic: String?
        /// The channel that is not valid or not found; otherwise `nil`.
        public let channel: String?

        private init(_ code: Code, topic: String? = nil, channel: String? = nil) {
            self.code = code
            self.topic = topic
            self.channel = channel
        }

        /// A message for logs and users.
        public var description: String {
            switch code {
            case .invalidName:
                "“\(channel ?? topic ?? "")” is not a valid name of a topic or channel"
            case .topicNotFound: "there is no topic “\(topic ?? "")”"
            case .channelNotFound: "the topic “\(topic ?? "")” has no channel “\(channel ?? "")”"
            case .tooMany: "the limit of topics, channels or bulk operations is reached"
            case .invalidValue: "an argument has an invalid value"
            case .messageNotFound: "there is no such message"
            case .attemptsDiffer: "the message was delivered in the meantime"
            case .refused: "the topic does not accept the message"
            case .notStored: "the message log cannot be read or written"
            default: "the broker has stopped"
            }
        }
    }
}

// MARK: - Creating

extension EmbeddedBroker.AdministrationError {
    /// Creates an error with the code ``Code/invalidName``.
    package static func invalidName(topic: String) -> Self { Self(.invalidName, topic: topic) }

    /// Creates an error with the code ``Code/invalidName``.
    package static func invalidName(channel: String) -> Self {
        Self(.invalidName, channel: channel)
    }

    /// Creates an error with the code ``Code/topicNotFound``.
    package static func topicNotFound(_ topic: String) -> Self {
        Self(.topicNotFound, topic: topic)
    }

    /// Creates an error with the code ``Code/channelNotFound``.
    package static func channelNotFound(topic: String, channel: String) -> Self {
        Self(.channelNotFound, topic: topic, channel: channel)
    }

    /// The error with the code ``Code/tooMany``.
    package static let tooMany = Self(.tooMany)

    /// The error with the code ``Code/stopped``.
    package static let stopped = Self(.stopped)

    /// The error with the code ``Code/invalidValue``.
    package static let invalidValue = Self(.invalidValue)

    /// The error with the code ``Code/notStored``.
    package static let notStored = Self(.notStored)

    /// Converts an error of the broker.
    init(_ error: InspectionError, _ topic: String? = nil, _ channel: String? = nil) {
        switch error {
        case .topicNotFound: self.init(.topicNotFound, topic: topic)
        case .channelNotFound: self.init(.channelNotFound, topic: topic, channel: channel)
        case .messageNotFound: self.init(Code.messageNotFound)
        case .attemptsDiffer: self.init(Code.attemptsDiffer)
        case .tooManyTopics, .tooManyOperations: self = .tooMany
        case .sameTopic, .memoryIsFull, .destinationIsFull, .stopping: self.init(Code.refused)
        case .unreadable, .notStored: self = .notStored
        case .operationNotFound: self = .invalidValue
        }
    }
}
