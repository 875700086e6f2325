/// An error of the job library.
///
/// ``code`` identifies the kind of error.
public struct JobsError: Error, Hashable, Sendable {
    /// The kind of error. Later versions can add codes.
    public struct Code: Hashable, Sendable {
        private enum Kind: String {
            case invalidTransition, unknownJob, unknownQueue, unknownBatch, batchEnded
            case invalidArguments, invalidName
            case invalidOption, storeUnusable, storeFailed, brokerFailed, stopped, cancelled
        }

        private let kind: Kind

        /// The state of the job does not allow the change. The text names both states.
        public static let invalidTransition = Self(kind: .invalidTransition)
        /// There is no job with this ID.
        public static let unknownJob = Self(kind: .unknownJob)
        /// There is no queue with this name.
        public static let unknownQueue = Self(kind: .unknownQueue)
        /// There is no batch with this ID.
        public static let unknownBatch = Self(kind: .unknownBatch)
        /// All jobs of the batch have ended, so none can be added.
        public static let batchEnded = Self(kind: .batchEnded)
        /// The arguments are not JSON, cannot be encoded, or are too large.
        public static let invalidArguments = Self(kind: .invalidArguments)
        /// The name of a queue, a job or a tag is not valid.
        public static let invalidName = Self(kind: .invalidName)
        /// The value of an option is out of its range.
        public static let invalidOption = Self(kind: .invalidOption)
        /// The store cannot be opened, or does not sync its commits.
        public static let storeUnusable = Self(kind: .storeUnusable)
        /// A transaction of the store failed. Nothing of it is stored.
        public static let storeFailed = Self(kind: .storeFailed)
        /// nsqd cannot be used.
        public static let brokerFailed = Self(kind: .brokerFailed)
        /// The object was stopped.
        public static let stopped = Self(kind: .stopped)
        /// The task was cancelled, or the worker does not hold the job any more.
        public static let cancelled = Self(kind: .cancelled)
    }

    /// The kind of error.
    public let code: Code
    /// A text for logs and users.
    public let reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    /// `true` if the same call can succeed later without a change.
    public var isRetriable: Bool { code == .storeFailed || code == .brokerFailed }
}

extension JobsError.Code: CustomStringConvertible {
    /// The name of the code, such as `unknownJob`.
    public var description: String { kind.rawValue }
}

extension JobsError: CustomStringConvertible {
    /// The text of the error.
    public var description: String { reason }
}

extension JobsError {
    /// Creates an error with the code ``Code/invalidTransition``.
    package static func invalidTransition(
        _ action: String, from state: JobState, to target: JobState, hint: String = ""
    ) -> Self {
        Self(
            .invalidTransition,
            "cannot \(action) a job in state '\(state)': it cannot become '\(target)'"
                + (hint.isEmpty ? "" : " (\(hint))"))
    }

    /// Creates an error with the code ``Code/unknownJob``.
    package static func unknownJob(_ id: JobID) -> Self {
        Self(.unknownJob, "unknown job '\(id)'")
    }
}
