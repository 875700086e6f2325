extension EmbeddedBroker {
    /// The reason why a topic or channel cannot be changed.
    public struct AdministrationError: Error, Equatable, Sendable, CustomStringConvertible {
        /// The kind of error. Later versions can add codes.
        public struct Code: Hashable, Sendable, CustomStringConvertible {
            private enum Kind: String {
                case invalidName, topicNotFound, channelNotFound, tooMany, stopped
            }

            private let kind: Kind

            /// The text is not a valid name: 1 to 64 characters of `.a-zA-Z0-9_-`, and an optional
            /// suffix `#ephemeral`.
            public static let invalidName = Self(kind: .invalidName)
            /// There is no topic of this name.
            public static let topicNotFound = Self(kind: .topicNotFound)
            /// The topic has no channel of this name.
            public static let channelNotFound = Self(kind: .channelNotFound)
            /// The broker has as many topics, or the topic as many channels, as its limit allows.
            public static let tooMany = Self(kind: .tooMany)
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
            case .tooMany: "the limit of topics or channels is reached"
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
}
