import NSQWire

/// An error of a producer or consumer.
///
/// ``code`` identifies the kind of error. ``isRetriable`` and ``mayHaveBeenAccepted`` tell whether
/// and how to publish a message again:
///
/// ```swift
/// catch where error.isRetriable && !error.mayHaveBeenAccepted { /* Publishing again is safe. */ }
/// ```
public struct NSQError: Error, Equatable, Sendable {
    /// The kind of error. Later versions can add codes.
    public struct Code: Hashable, Sendable {
        private enum Kind: String {
            case invalidTopic, invalidChannel, invalidAddress, invalidOption, emptyMessage
            case messageTooBig, unreachable, lookupFailed, connectionLost, refused
            case tooManyWaiting, cancelled, stopped
        }

        private let kind: Kind

        /// The text is not a valid topic name. A topic name has 1 to 64 characters of
        /// `.a-zA-Z0-9_-`, and an optional suffix `#ephemeral`.
        public static let invalidTopic = Self(kind: .invalidTopic)
        /// The text is not a valid channel name; the rule is the same as for topics.
        public static let invalidChannel = Self(kind: .invalidChannel)
        /// The text is not an address like `127.0.0.1:4150`.
        public static let invalidAddress = Self(kind: .invalidAddress)
        /// The value of an option is out of its range, or a file that it names cannot be used.
        public static let invalidOption = Self(kind: .invalidOption)
        /// A message body or a batch is empty, which nsqd does not accept.
        public static let emptyMessage = Self(kind: .emptyMessage)
        /// The message or batch exceeds nsqd's limit, which an earlier refusal has announced. It was
        /// not sent.
        public static let messageTooBig = Self(kind: .messageTooBig)
        /// There is no connection to the nsqd. The message was not sent.
        public static let unreachable = Self(kind: .unreachable)
        /// A request to an nsqlookupd has failed, and no option and no other response names an nsqd.
        /// ``NSQError/reason`` contains the address and the error of each failed request.
        public static let lookupFailed = Self(kind: .lookupFailed)
        /// The connection broke before nsqd's response. The message may have been published.
        public static let connectionLost = Self(kind: .connectionLost)
        /// nsqd has responded with an error, such as `E_BAD_MESSAGE PUB message too big 2000000 >
        /// 1048576`, which is ``NSQError/reason``.
        public static let refused = Self(kind: .refused)
        /// As many publishes as ``Producer/Options/maxWaiting`` allows are waiting already. The message
        /// was not sent.
        public static let tooManyWaiting = Self(kind: .tooManyWaiting)
        /// The task was cancelled. Every method of this library that waits throws this error, and
        /// none throws `CancellationError`, because a cancelled publish must tell whether nsqd may
        /// have accepted the message: ``NSQError/mayHaveBeenAccepted`` is `true` if it was sent
        /// before.
        public static let cancelled = Self(kind: .cancelled)
        /// The producer or consumer was stopped.
        public static let stopped = Self(kind: .stopped)
    }

    /// The kind of error.
    public let code: Code

    /// The address of the nsqd, if the error is about one nsqd.
    public let address: String?

    /// The details of the error: nsqd's response, the invalid value, or the cause of a lost
    /// connection.
    public let reason: String

    /// `true` if nsqd may have accepted the message, so that publishing it again can cause a
    /// duplicate.
    public let mayHaveBeenAccepted: Bool

    private init(
        _ code: Code, address: String? = nil, reason: String = "",
        mayHaveBeenAccepted: Bool = false
    ) {
        self.code = code
        self.address = address
        self.reason = reason
        self.mayHaveBeenAccepted = mayHaveBeenAccepted
    }

    /// `true` if the same call can succeed later without a change. If ``mayHaveBeenAccepted`` is
    /// `true` too, publishing again can cause a duplicate.
    public var isRetriable: Bool {
        switch code {
        case .unreachable, .lookupFailed, .connectionLost, .tooManyWaiting: true
        case .refused:
            [.publishFailed, .multiPublishFailed, .deferredPublishFailed].contains(refusal)
        default: false
        }
    }
}

// MARK: - Creating

extension NSQError {
    /// Creates an error with the code ``Code/invalidTopic``.
    package static func invalidTopic(_ name: String) -> Self { Self(.invalidTopic, reason: name) }

    /// Creates an error with the code ``Code/invalidChannel``.
    package static func invalidChannel(_ name: String) -> Self {
        Self(.invalidChannel, reason: name)
    }

    /// Creates an error with the code ``Code/invalidAddress``.
    package static func invalidAddress(_ text: String) -> Self {
        Self(.invalidAddress, reason: text)
    }

    /// Creates an error with the code ``Code/invalidOption``.
    ///
    /// - Parameter reason: a text that contains the option's name, its value and its range.
    package static func invalidOption(_ reason: String) -> Self {
        Self(.invalidOption, reason: reason)
    }

    /// The error with the code ``Code/emptyMessage``.
    package static let emptyMessage = Self(.emptyMessage)

    /// Creates an error with the code ``Code/messageTooBig``.
    package static func messageTooBig(address: String, bytes: Int, limit: Int) -> Self {
        Self(.messageTooBig, address: address, reason: "\(bytes) bytes exceed the limit \(limit)")
    }

    /// Creates an error with the code ``Code/unreachable``.
    package static func unreachable(address: String, reason: String) -> Self {
        Self(.unreachable, address: address, reason: reason)
    }

    /// Creates an error with the code ``Code/lookupFailed``.
    package static func lookupFailed(_ reasons: String) -> Self {
        Self(.lookupFailed, reason: reasons)
    }

    /// Creates an error with the code ``Code/connectionLost``.
    package static func connectionLost(address: String, reason: String) -> Self {
        Self(.connectionLost, address: address, reason: reason, mayHaveBeenAccepted: true)
    }

    /// Creates an error with the code ``Code/refused``.
    package static func refused(address: String, response: String) -> Self {
        Self(.refused, address: address, reason: response)
    }

    /// Creates an error with the code ``Code/tooManyWaiting``.
    package static func tooManyWaiting(limit: Int) -> Self {
        Self(.tooManyWaiting, reason: "\(limit)")
    }

    /// Creates an error with the code ``Code/cancelled``.
    package static func cancelled(mayHaveBeenAccepted: Bool) -> Self {
        Self(.cancelled, mayHaveBeenAccepted: mayHaveBeenAccepted)
    }

    /// The error with the code ``Code/stopped``.
    package static let stopped = Self(.stopped)

    /// The same error with ``mayHaveBeenAccepted``, for a message that an earlier attempt has sent.
    var withPossibleAcceptance: Self {
        Self(code, address: address, reason: reason, mayHaveBeenAccepted: true)
    }

    /// The code of nsqd's error response; nil for an unknown code and for other errors.
    package var refusal: ProtocolError.Code? {
        guard code == .refused else { return nil }
        return ProtocolError.Code(rawValue: String(reason.prefix { $0 != " " }))
    }
}

// MARK: - Texts

extension NSQError.Code: CustomStringConvertible {
    /// The name of the code, such as `unreachable`.
    public var description: String { kind.rawValue }
}

extension NSQError: CustomStringConvertible {
    /// A message for logs and users.
    public var description: String {
        let nsqd = "nsqd at \(address ?? "an unknown address")"
        return switch code {
        case .invalidTopic: "“\(reason)” is not a valid topic name"
        case .invalidChannel: "“\(reason)” is not a valid channel name"
        case .invalidAddress: "“\(reason)” is not an address like 127.0.0.1:4150"
        case .invalidOption: reason
        case .emptyMessage: "empty message or batch"
        case .messageTooBig: "message or batch too big for \(nsqd): \(reason)"
        case .unreachable: "cannot reach \(nsqd): \(reason)"
        case .lookupFailed: "no nsqlookupd responded: \(reason)"
        case .connectionLost: "lost the connection to \(nsqd) before it answered: \(reason)"
        case .refused: "\(nsqd) refused: \(reason)"
        case .tooManyWaiting: "\(reason) publishes are waiting already"
        case .cancelled where mayHaveBeenAccepted:
            "cancelled; the message was sent and may have been published"
        case .cancelled: "cancelled"
        default: "stopped"
        }
    }
}
