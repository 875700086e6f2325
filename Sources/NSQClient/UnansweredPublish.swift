import NSQWire
import UVLoop

/// A publish that has no response yet.
struct UnansweredPublish {
    enum Content {
        case one([UInt8])
        case deferred([UInt8], milliseconds: Int)
        case batch(PublishBatch)
    }

    /// Identifies the publish for ``ProducerEngine/cancel(_:)``; 0 for one that cannot be cancelled.
    let id: UInt64
    let topic: TopicName
    let content: Content
    let done: ProducerEngine.Completion
    /// The monotonic time in nanoseconds at which the publish fails if it is not sent; `.max` while
    /// an nsqd is connected.
    var deadlineNanoseconds = Int64.max
    /// The size of the sent command in bytes; 0 before the publish is sent.
    var byteCount = 0
    /// `true` if the publish was sent on a connection that broke before nsqd's response.
    var mayHaveBeenAccepted = false
    /// `true` if `done` has run before nsqd's response, because the task was cancelled.
    var isCancelled = false

    init(
        id: UInt64 = 0, _ content: Content, to topic: TopicName,
        _ done: @escaping ProducerEngine.Completion
    ) {
        self.id = id
        self.content = content
        self.topic = topic
        self.done = done
    }

    /// Completes the publish, unless it was cancelled.
    func complete(_ error: NSQError?) {
        guard !isCancelled else { return }
        done(mayHaveBeenAccepted ? error?.withPossibleAcceptance : error)
    }
}

/// The largest message and batch that one nsqd accepts. nsqd announces its limits only in the error
/// of a publish that exceeds them.
struct PublishSizeLimits {
    /// The protocol has signed 32-bit lengths.
    private static let largest = Int(Int32.max)

    private(set) var messageBytes = Self.largest
    private(set) var batchBytes = Self.largest

    /// Reads a limit in nsqd's error, such as `E_BAD_MESSAGE PUB message too big 2000000 > 1048576`.
    mutating func learn(from error: NSQError) {
        guard error.reason.contains(" too big "),
            let limit = error.reason.split(separator: " ").last.flatMap({ Int($0) }), limit > 0
        else { return }
        switch error.refusal {
        case .badMessage: messageBytes = min(limit, Self.largest)
        case .badBody: batchBytes = min(limit, Self.largest)
        default: break
        }
    }

    /// Returns the error of a publish that exceeds a limit; nil if it exceeds none.
    func error(for content: UnansweredPublish.Content, at address: SocketAddress) -> NSQError? {
        let (message, batch): (Int, Int) =
            switch content {
            case .one(let body), .deferred(let body, _): (body.count, 0)
            case .batch(let batch): (batch.longestBody, batch.byteCount)
            }
        if message > messageBytes {
            return .messageTooBig(address: "\(address)", bytes: message, limit: messageBytes)
        }
        guard batch > batchBytes else { return nil }
        return .messageTooBig(address: "\(address)", bytes: batch, limit: batchBytes)
    }
}
